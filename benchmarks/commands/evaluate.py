"""`dgmbench evaluate`."""

import argparse

from benchmarks.commands.settings import is_path, number_of, numbers_in, settings_in
from benchmarks.core.errors import UserError
from datamodules.root import expanded

OF_IMAGES = ("images", "datamodule", "against", "value_range", "against_range")
OF_A_RUN = ("checkpoint", "weights")
KNOWN = ("protocol", "draws", *OF_IMAGES, *OF_A_RUN)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "overrides",
        nargs="+",
        metavar="RUN | key=value",
        help="RUN protocol=NAME, or images=PATH against=PATH",
    )


def run(given: argparse.Namespace) -> int:
    """Score a run's checkpoint, or images made elsewhere, under a protocol."""
    from benchmarks.config.compose import compose_group
    from benchmarks.evaluation.evaluate import evaluate_against, evaluate_images, evaluate_run
    from benchmarks.evaluation.scoring import describe

    folder = given.overrides[0] if is_path(given.overrides[0], KNOWN) else None
    overrides = given.overrides[folder is not None :]
    of_data = [o for o in overrides if o.startswith("datamodule.")]
    settings = settings_in([o for o in overrides if o not in of_data], KNOWN)
    if "protocol" not in settings and "against" not in settings:
        raise UserError("protocol must be given (dgmbench list protocols), e.g. protocol=NAME")
    protocols = settings["protocol"].strip("[]").split(",") if "protocol" in settings else []
    for name in protocols:
        compose_group("protocol", name)
    for name in (n for n in (OF_IMAGES if folder else OF_A_RUN) if n in settings):
        other = "images=PATH" if folder else "a RUN"
        raise UserError(f"{name} must be given with {other} only, got {name}={settings[name]}")
    if folder is not None:
        record = evaluate_run(
            expanded(folder, "RUN"),
            protocols,
            settings.get("checkpoint", "last"),
            settings.get("weights"),
            number_of(settings, "draws"),
        )
    elif "images" in settings and "against" in settings:
        if "datamodule" in settings:
            raise UserError("images must be compared with against or datamodule, got both")
        record = evaluate_against(
            settings["images"],
            settings["against"],
            protocols,
            numbers_in(settings, "value_range"),
            numbers_in(settings, "against_range"),
            number_of(settings, "draws"),
        )
    elif "images" in settings:
        if "datamodule" not in settings:
            raise UserError(
                "datamodule must be given, the data set that images are compared with, or "
                "against=PATH, images"
            )
        values = [o.removeprefix("datamodule.") for o in of_data]
        data = compose_group("datamodule", settings["datamodule"], values)
        value_range = numbers_in(settings, "value_range")
        draws = number_of(settings, "draws")
        record = evaluate_images(settings["images"], data, protocols, value_range, draws)
    else:
        raise UserError("RUN or images=PATH must be given")
    for line in describe(record):
        print(line)
    return 0
