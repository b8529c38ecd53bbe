"""The PyTorch template: it is written whole, it compiles, its hooks are marked. (PyTorch is no requirement.)"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from parity.cli import main
from parity.commands.template import text
from parity.doctor.options import MEMBERS, PUBLISHED

ROOT = Path(__file__).parent.parent.parent


def test_it_is_printed_or_written(tmp_path, capsys):
    assert main(["template"]) == 0
    assert capsys.readouterr().out == text()
    out = tmp_path / "my_gru4rec.py"
    assert main(["template", "--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8") == text()
    assert "doctor my_gru4rec:GRU4Rec" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"),
    [("my-gru.py", "can be imported"), ("no/such.py", "no folder"), ("there.py", "--overwrite"), ("a.txt", "imported")],
)
def test_nothing_is_lost_and_a_bad_name_is_refused(name, message, tmp_path, capsys):
    (tmp_path / "there.py").write_text("mine", encoding="utf-8")
    assert main(["template", "--out", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "there.py").read_text(encoding="utf-8") == "mine"
    assert main(["template", "--out", str(tmp_path / "there.py"), "--overwrite"]) == 0


def test_it_compiles_and_has_every_member_of_the_protocol():
    tree = ast.parse(text())
    compile(tree, "template.py", "exec")
    (engine,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "GRU4Rec")
    members = {node.name for node in engine.body if isinstance(node, ast.FunctionDef)}
    assert members >= set(MEMBERS) - {"evaluation"}  # which is hook 11


def test_its_defaults_are_the_published_ones():
    tree = ast.parse(text())
    (init,) = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and len(node.args.args) > 12)
    names = [each.arg for each in init.args.args[1:]]
    defaults = dict(zip(names, map(ast.literal_eval, init.args.defaults), strict=True))
    assert defaults == {name: PUBLISHED[name] for name in defaults}


def test_its_hooks_are_numbered_in_order():
    numbers = [int(number) for number in re.findall(r"HOOK (\d+)", text())]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 10


def test_the_harness_itself_never_imports_it():
    code = (
        "import sys, parity.cli; parity.cli.parser(); print('parity.template' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout.split() == ["False", "False"], done.stderr
