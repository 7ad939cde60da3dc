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
    def __init__(self, features, classes, segment_frames, *, {options}):
        pass
"""


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a plug-in into a library without others; returns its path."""
    for package in ("models", "estimators", "poolings", "thresholds"):
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


def test_a_number_of_a_literal_may_come_from_the_command_line(config, write):
    write("thresholds/mine.py", RULE.replace("power: int", "power: Literal[2, 3]"))
    config = changed(config, "em.threshold", {"rule": "mine", "power": "3", "gentle": "true"})
    assert checked(config)["em"]["threshold"]["power"] == 3
    config = changed(config, "em.threshold.power", "4")
    with pytest.raises(ConfigError, match=r"em\.threshold\.power: 4 is not Literal\[2, 3\]"):
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
    "no star": (
        "class Model:\n    def __init__(self, features, classes, segment_frames, width: int):\n"
        "        pass\n",
        r"mine\.py:2: Model\.__init__\(self, .*, width: int\); it is given self, features, "
        r"classes, segment_frames, and keyword-only options after a \*",
    ),
    "any options": (
        MODEL.format(options="fusion: str, **others"),
        r"mine\.py:3: Model\.__init__\(.*\*\*others\); it is given",
    ),
    "no fusion": (
        MODEL.format(options="width: int"),
        r"models\.bigru: Model of models/mine\.py has to take fusion",
    ),
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


@pytest.mark.parametrize(
    "arguments",
    ["scores, thresholds", "scores, thresholds, in_video_labels, *, margin: float"],
)
def test_an_estimator_that_cannot_be_called_is_told_before_any_job(config, write, arguments):
    path = write("estimators/careful.py", f"def keep({arguments}):\n    return scores > 0\n")
    config["em"]["iterations"] = [["bigru@careful"]]
    told = rf"{path}:1: keep\(.*\); it is given scores, thresholds, in_video_labels, and no options"
    with pytest.raises(ConfigError, match=told):
        checked(config)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def pools(logits_BSC, mask_BS1):\n    1", r"mine\.py: no pool in it"),
        (
            "def pool(logits_BSC):\n    1",
            r"mine\.py:1: pool\(logits_BSC\); it is given logits_BSC, ",
        ),
    ],
)
def test_a_pooling_that_cannot_be_called_is_told_before_any_job(config, write, text, told):
    write("poolings/mine.py", text)
    with pytest.raises(ConfigError, match=told):
        checked(changed(config, "training.video_loss", "mine"))


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
