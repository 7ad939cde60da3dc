"""Files of models and rules as the configuration sees them: their options, and what is wrong."""

import plugins
import pytest
import yaml
from configuration import ConfigError, checked
from test_configuration import ROOT, changed

RULE = """
def thresholds(histogram_CN, *, power: int, gentle: bool):
    return histogram_CN
"""
MODEL = """
class Model:
    def __init__(self, features, classes, *, {options}):
        pass
"""


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a plug-in into a library without others; returns its path."""
    for package in ("models", "estimators", "thresholds"):
        (tmp_path / package).mkdir()
        for file in (plugins.LIBRARY / package).glob("[a-z]*.py"):
            (tmp_path / package / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(plugins, "LIBRARY", tmp_path)
    plugins.plugins_of.cache_clear()
    plugins.signature.cache_clear()

    def write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    yield write
    plugins.plugins_of.cache_clear()
    plugins.signature.cache_clear()


def test_a_rule_of_ones_own_names_its_options(config, write):
    write("thresholds/mine.py", RULE)
    config = changed(config, "em.threshold", {"rule": "mine", "power": "2", "gentle": "true"})
    assert checked(config)["em"]["threshold"] == {"rule": "mine", "power": 2, "gentle": True}
    config = changed(config, "em.threshold.power", 0.5)
    with pytest.raises(ConfigError, match=r"em\.threshold\.power: 0\.5 is not int"):
        checked(config)
    config = changed(config, "em.threshold", {"rule": "mine", "power": 2})
    with pytest.raises(ConfigError, match=r"em\.threshold: rule mine needs the key 'gentle'"):
        checked(config)


WRONG = {
    "no type": (MODEL.format(options="width"), r"mine\.py:3: option 'width' has no type; annotate"),
    "a list": (
        MODEL.format(options="width: list[int]"),
        r"option 'width' is list\[int\]; it can be",
    ),
    "no class": ("class Modle:\n    pass\n", r"mine\.py: no Model\.__init__ in it"),
    "a mistyped rule": (
        MODEL.format(options='width: Annotated[int, "atleast 1"]'),
        r"mine\.py:3: option 'width': 'atleast 1' is no rule; write at least, above, below and a ",
    ),
    "a divisor of nothing": (
        MODEL.format(options='width: int, heads: Annotated[int, "a divisor of widht"]'),
        r"option 'heads': 'a divisor of widht' is no rule; .* 'a divisor of' and another option",
    ),
    "no constructor": ("class Model:\n    pass\n", r"mine\.py: no Model\.__init__ in it"),
    "half written": (
        "class Model:\n    def __init__(self,\n",
        r"mine\.py:2: '\(' was never closed",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_in_a_file_is_told_with_its_place(config, write, name):
    text, message = WRONG[name]
    write("models/mine.py", text)
    config["models"]["bigru"] = config["models"]["bigru"] | {"architecture": "mine"}
    with pytest.raises(ConfigError, match=message):
        checked(config)


def test_an_estimator_without_its_function_is_told_before_any_job(config, write):
    path = write("estimators/careful.py", "def keeps(scores, thresholds, in_video_labels):\n    1")
    config["em"]["iterations"] = [["bigru@careful"]]
    with pytest.raises(ConfigError, match=f"{path}: no keep in it"):
        checked(config)


def test_a_half_written_model_that_is_not_used_stops_nothing(config, write):
    write("models/mine.py", "class Model:\n    def")
    config["models"]["mine"] = config["models"]["bigru"] | {"architecture": "mine"}
    checked(config)


def test_a_half_written_rule_that_is_not_used_stops_nothing(config, write):
    write("thresholds/mine.py", "def thresholds(")
    checked(changed(config, "em.threshold", {"rule": "fixed", "delta": 0.9, "share": 0.3}))


def test_hidden_files_are_no_plugins(write):
    write("models/._bigru.py", "\x00")
    assert "._bigru" not in plugins.plugins_of("models")
