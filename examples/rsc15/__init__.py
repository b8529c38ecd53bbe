"""RSC15 (RecSys Challenge 2015, YOOCHOOSE): synthetic sample, preparation of the raw file, training and evaluation."""
