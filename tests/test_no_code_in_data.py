"""Nothing that is read can run as code: no pickle, no eval, no unquoted argument of a shell."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = sorted(
    path
    for part in ("workflow_scripts", "rules", "benchmarks")
    for path in (ROOT / part).rglob("*.py")
)
RULES = sorted(ROOT.glob("rules/*.smk"))
# Modules that run what they read, and h5py's own way to a pickle's like.
FORBIDDEN_MODULES = {
    "pickle",
    "_pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
}
FORBIDDEN_CALLS = {
    "eval": "runs its argument",
    "exec": "runs its argument",
    "compile": "makes code",
    "__import__": "loads a module by a name from elsewhere",
    "os.system": "goes through a shell",
    "os.popen": "goes through a shell",
    "yaml.load": "builds any object: yaml.safe_load",
    "yaml.unsafe_load": "builds any object: yaml.safe_load",
    "yaml.full_load": "builds objects: yaml.safe_load",
    "pd.read_pickle": "a pickle",
    "pandas.read_pickle": "a pickle",
    "pd.eval": "runs its argument",
    "torch.hub.load": "runs what it fetches",
    "torch.jit.load": "runs what it loads",
}


def problems(source):
    """What in a Python source could run data as code."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        yield from (name for name in names if name.partition(".")[0] in FORBIDDEN_MODULES)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called in FORBIDDEN_CALLS:
                yield f"{called}: {FORBIDDEN_CALLS[called]}"
            if called == "torch.load" and given.get("weights_only") != "True":
                yield "torch.load without weights_only=True"
            if given.get("allow_pickle", "False") != "False":
                yield f"{called} with allow_pickle"
            if given.get("shell", "False") != "False":
                yield f"{called} with shell"


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_runs_nothing_that_it_reads(path):
    assert list(problems(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "def f():\n    import dill.source",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "eval(text)",
        "subprocess.run(command, shell=True)",
        "subprocess.run(command, shell=flag)",
        "os.system(command)",
    ],
)
def test_what_would_run_data_is_found(source):
    assert list(problems(source))


@pytest.mark.parametrize(
    "source",
    ["model.eval()", "np.load(path)", "torch.load(path, weights_only=True)", "re.compile(text)"],
)
def test_what_runs_nothing_is_not_found(source):
    assert not list(problems(source))


# Numbers, and what is quoted in Python already (rules/common.smk).
UNQUOTED = {
    "params.launcher",
    "params.speed",
}


def shell_commands(text):
    """The text of each shell directive of a file of rules."""
    for block in re.split(r"\n\s+shell:\n", text)[1:]:
        lines = []
        for line in block.splitlines():
            if not line.strip().startswith('"'):
                break
            lines.append(line.strip().strip('"'))
        yield "".join(lines)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.name)
def test_every_argument_of_a_shell_command_is_quoted(path):
    text = path.read_text(encoding="utf-8")
    commands = list(shell_commands(text))
    assert len(commands) == len(re.findall(r"\bshell:", text))
    assert all(commands)
    for command in commands:
        for place in re.findall(r"\{([^}]*)\}", command):
            assert place.endswith(":q") or place in UNQUOTED, f"{place} in {command}"
