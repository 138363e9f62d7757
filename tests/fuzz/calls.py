"""Calls drawn from the parsers, from the keys of composed configs, and from damaged files."""

import argparse
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from benchmarks.__main__ import VERBS, parser
from benchmarks.config.compose import compose

__all__ = ["Call", "draw"]

NASTY = (
    *("", " ", "x" * 5000, "~nosuchuser", "a/..", "/dev/null/x", "a=b", "=", "[", "{", "}"),
    *("nan", "inf", "-1", "0", "1.5", "1e400", "1" + "0" * 30, "true", "[1,2]", "{a:1}", "'"),
    *("\\", "a\nb", "%s", "*", "ü≤↓", "\udcff", "${oc.env:HOME}", "${nothing}", "a/../b", "--"),
    *("null", '"', "own/table/own.yaml", "run/record.json"),
)
VALUES = (  # of overrides: none makes a network that does not fit the memory
    *("x", "-1", "0", "1.5", "true", "null", "nan", "inf", "-inf", "1e400", "1" + "0" * 30, "''"),
    *("[]", "[1]", "[a,b]", "{}", "{a:1}", "[[1]]", "1e0", "${seed}", "${nothing}", "'a b'", "ü"),
    *("[", "{", "'", "a:b", "\\", "{_target_:os.system}", "1,2", "${oc.env:HOME}", "???"),
)
EXPERIMENTS = ("toy/ns_gan", "toy/wgan_gp", "toy/began", "lucic2018/vae_quick", "mine")
# what would train for long, fetch, ask a cluster or look at all data is called wrongly only
WRONG_ONLY = ("gate", "prefetch", "doctor", "sync", "cancel", "queue")
DRY = {"table": "--dry-run", "queue": "--dry-run", "prune": "--dry-run", "sync": "--dry-run"}
GOOD = {  # values that lead somewhere, by the name of an argument
    "table": ("own", "quick", "own/table/own.yaml"),
    "tables": ("own", "quick"),
    "run": ("run", "outputs"),
    "first": ("run", "own", "run/record.json"),
    "second": ("run", "own", "outputs"),
    "record": ("run", "run/record.json"),
    "folders": ("outputs", "run"),
    "rows": ("A", "toy/ns_gan"),
    "columns": ("modes", "gaussian_ring"),
    "config_dir": ("own",),
    "checkpoint": ("last", "128", "best", "all"),
    "samples": ("3", "0"),
    "seeds": ("1", "2"),
    "jobs": ("1",),
    "lines": ("3",),
    "output": ("out",),
}
SETTINGS = {
    "evaluate": ("protocol=modes_2500", "checkpoint=128", "weights=raw", "draws=2", "images=test"),
    "pictures": ("protocol=modes_2500", "checkpoint=all", "weights=raw", "classes=1,2,3"),
    "table": ("trainer=cpu", "threads=1", "logger=csv"),
    "doctor": ("launcher.partition=x",),
}
Bytes = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Call:
    """One call of the command line.

    Attributes:
        kind: What it is about.
        arguments: Of the command line.
        environment: Variables that are set for it.
        names: Of what is wrong; a refusal must hold one of them.
        damage: What is done to the space before.
    """

    kind: str
    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    damage: Callable[[Path], None] | None = None


def draw(seed: int, number: int) -> Call:
    """Return a call, the same for the same seed and number."""
    chance = random.Random(f"{seed}-{number}")
    kinds = (_of_parsers, _of_overrides, _of_overrides, _of_records, _of_files, _of_configs)
    call = chance.choice(kinds)(chance)
    if call.kind != "parser" and chance.random() < 0.1:
        name = chance.choice(("DGMBENCH_OUTPUTS", "DGMBENCH_PATH", "DGMBENCH_DATA"))
        value = chance.choice(NASTY).replace("\udcff", "x")
        return Call(call.kind, call.arguments, {**call.environment, name: value}, ())
    return call


# -- the parsers ------------------------------------------------------------------------------


def _of_parsers(chance: random.Random) -> Call:
    verb = chance.choice(VERBS)
    (verbs,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    arguments: list[str] = []
    for action in verbs.choices[verb]._actions:
        if isinstance(action, argparse._HelpAction) or action.dest == "write":
            continue
        is_asked = not action.option_strings or action.required or chance.random() < 0.3
        if is_asked and action.dest != "dry_run":
            arguments += _given(action, verb, chance)
    if verb == "train":
        arguments = ["--trial", *arguments]
    if verb in DRY:
        arguments.append(DRY[verb])
    environment = {"DGMBENCH_PATH": "own"} if chance.random() < 0.7 else {}
    return Call("parser", [verb, *arguments], environment)


def _given(action: argparse.Action, verb: str, chance: random.Random) -> list[str]:
    """Return what is given to an argument of a verb."""
    name = [chance.choice(action.option_strings)] if action.option_strings else []
    if action.nargs == 0:
        return name
    good = () if verb in WRONG_ONLY else GOOD.get(action.dest, ())
    if action.dest == "overrides":
        return _settings(verb, chance)
    count = chance.choice((0, 1, 1, 2)) if action.nargs in ("*", "+", "?") else 1
    pick = good if good and chance.random() < 0.6 else NASTY
    return [*name, *(chance.choice(pick) for _ in range(count))]


def _settings(verb: str, chance: random.Random) -> list[str]:
    if verb == "train":
        return [f"experiment={chance.choice((*EXPERIMENTS, *NASTY))}", chance.choice(NASTY)]
    known = SETTINGS.get(verb, ("x=1",))
    chosen = [chance.choice(known) for _ in range(chance.choice((0, 1, 2, 3)))]
    if chosen and chance.random() < 0.5:
        chosen[0] = f"{chosen[0].split('=')[0]}={chance.choice(NASTY)}"
    folder = ["run"] if verb == "evaluate" and chance.random() < 0.7 else []
    return [*folder, *chosen]


# -- the keys of configs ----------------------------------------------------------------------


def _of_overrides(chance: random.Random) -> Call:
    experiment = chance.choice(EXPERIMENTS[:-1])
    keys = _keys(experiment)
    key = chance.choice(keys)
    value = chance.choice(VALUES)
    override = chance.choice(
        (f"{key}={value}",) * 8
        + (f"~{key}", f"+{key}={value}", f"++{key}x={value}", f"{key}", f"{key}.x={value}")
    )
    names = tuple(part for part in key.split(".") if len(part) > 1)
    call = ["train", "--trial", f"experiment={experiment}", override]
    return Call("override", call, {}, (*names, experiment))


def _keys(experiment: str) -> list[str]:
    cfg = OmegaConf.to_container(compose([f"experiment={experiment}"]).cfg)
    return list(_paths(cfg))


def _paths(value: Any, where: str = "") -> Iterator[str]:
    """Yield the dotted keys of a config, inner ones too."""
    if isinstance(value, dict):
        for key, part in value.items():
            path = f"{where}.{key}" if where else str(key)
            yield path
            yield from _paths(part, path)


# -- records and other files ------------------------------------------------------------------

READERS = (
    *(["status"], ["status", "own"], ["report", "own"], ["table", "own", "--dry-run"]),
    *(["compare", "run", "own"], ["evaluate", "run", "protocol=modes_2500"], ["logs", "run"]),
    *(["export", "run", "--samples", "2"], ["pictures", "run"], ["publish", "own"]),
    *(["prune", "own", "--dry-run"], ["migrate", "outputs"], ["reproduce", "run"]),
    *(["report"], ["compare", "run", "run"], ["pictures", "run", "checkpoint=all"]),
)
JSON_VALUES = (None, True, -1, 1.5, 10**30, "", "x", "../x", "\u0000", [], [1, 2], {}, {"a": 1})
OTHERS = (
    *("config.yaml", "progress.json", "logs/metrics.csv", "samples/256.png", ".lock"),
    *("checkpoints/256.ckpt", "checkpoints/snapshot-128.pt", "checkpoints", "record.json"),
)


def _of_records(chance: random.Random) -> Call:
    """A record of which a value is another, or is gone, with or without its digest."""
    draws = random.Random(chance.random())

    def damage(here: Path) -> None:
        for path in [here / "run/record.json", *here.glob("outputs/*/*/*/record.json")]:
            values = json.loads(path.read_text())
            if draws.random() < 0.9:
                values.pop("digest")
            _change(values, random.Random(draws.random()))
            path.write_text(json.dumps(values))

    call, names = chance.choice(READERS), ("record", "run")
    return Call("record", call, {"DGMBENCH_PATH": "own"}, names, damage)


def _change(value: Any, chance: random.Random) -> None:
    """Change one value somewhere in lists and dicts."""
    places = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not places:
        return
    place = chance.choice(places)
    inner = value[place]
    if isinstance(inner, dict | list) and inner and chance.random() < 0.7:
        _change(inner, chance)
    elif chance.random() < 0.2:
        del value[place]
    else:
        value[place] = chance.choice(JSON_VALUES)


def _of_files(chance: random.Random) -> Call:
    """A file that is cut, empty, another's, a folder, a link that leads nowhere, or garbage."""
    draws = random.Random(chance.random())
    images = chance.random() < 0.3
    name = chance.choice(("images.npz", "set.npz", "pictures/0.png") if images else OTHERS)

    def damage(here: Path) -> None:
        folders = [here] if images else [here / "run", *here.glob("outputs/*/*/*")]
        for folder in folders:
            _damage(folder / name, random.Random(draws.random()))

    if not images:
        call, names = chance.choice(READERS), (Path(name).name, "checkpoint", "run", "record")
    elif name == "set.npz":
        data = ["datamodule=npz", "datamodule.name=own", "datamodule.path=set.npz"]
        shape = ["datamodule.image_shape=[1,8,8]", "datamodule.num_classes=6", "images_seen=64"]
        call = ["train", "--trial", "experiment=lucic2018/vae_quick", *data, *shape]
        names = ("set.npz", "image_shape", "model", "protocol", "trial", "validation")
    else:
        what = name.split("/")[0]
        call = ["evaluate", f"images={what}", "datamodule=digits", "protocol=fd_lenet_2k_test2k"]
        names = (what, "images", "protocol", "0.png")
    return Call("file", call, {"DGMBENCH_PATH": "own"}, names, damage)


def _damage(path: Path, chance: random.Random) -> None:
    content = path.read_bytes() if path.is_file() else b""
    if path.is_dir():
        path.rename(path.with_name(f"{path.name}.away"))
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    how = chance.randrange(7)
    if how == 0:
        path.mkdir()
    elif how == 1:
        path.symlink_to("nowhere")
    elif how == 2:
        path.write_bytes(content[: chance.randrange(len(content) + 1)])
    elif how == 3:
        path.write_bytes(chance.randbytes(200))
    elif how == 4:
        at = chance.randrange(len(content) + 1)
        path.write_bytes(content[:at] + chance.randbytes(3) + content[at + 3 :])
    elif how == 5:
        path.write_text(
            chance.choice(("", "{}", "[]", "3", "null", "a: [1", "{", "\u0000", "1,2\n"))
        )
    # else it is gone


# -- a user's own configs ---------------------------------------------------------------------

YAML = (
    *(
        "a: [1\n",
        "a: 1\na: 2\n",
        "a: !mine 1\n",
        "[1]\n",
        "5\n",
        "",
        "a: *b\n",
        "\t",
        "a: &a [*a]\n",
    ),
    *("defaults: 5\n", "defaults: [{x: y}]\n", "# @package nowhere\nx: 1\n", "defaults: [mine]\n"),
)


def _of_configs(chance: random.Random) -> Call:
    """A table or an experiment of which a value is another, or whose file is no YAML."""
    draws = random.Random(chance.random())
    group, name = chance.choice((("table", "own"), ("experiment", "mine")))
    folder = f"own{chance.randrange(10**9)}"  # a file is read once

    def damage(here: Path) -> None:
        (here / "own").rename(here / folder)
        path = here / folder / group / f"{name}.yaml"
        if draws.random() < 0.3:
            path.write_text(draws.choice(YAML))
            return
        text = path.read_text()
        values = yaml.safe_load(text)
        _change(values, draws)
        header = "# @package _global_\n" if group == "experiment" else ""
        path.write_text(header + yaml.safe_dump(values))

    calls = (
        *(["table", "own", "--dry-run"], ["status", "own"], ["report", "own"], ["list", "tables"]),
        *(["train", "--trial", "experiment=mine"], ["publish", "own"], ["verdicts", "own"]),
    )
    names = (name, group, "own")
    return Call("config", chance.choice(calls), {"DGMBENCH_PATH": folder}, names, damage)
