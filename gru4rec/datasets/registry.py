"""The data sets by the names that commands take."""

from gru4rec.datasets import coveo, diginetica, rees46, retailrocket, yoochoose
from gru4rec.datasets.shops import Shop

SHOPS: dict[str, Shop] = {
    module.SHOP.key: module.SHOP for module in (yoochoose, rees46, coveo, retailrocket, diginetica)
}
NAMES = ("rsc15", *SHOPS, "movielens")
