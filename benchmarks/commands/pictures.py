"""`dgmbench pictures`."""

import argparse

from benchmarks.commands.settings import settings_in
from benchmarks.core.errors import UserError
from datamodules.root import expanded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("run", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "overrides", nargs="*", help="[protocol=NAME] [checkpoint=N | all] [classes=a,b,c]"
    )


def run(given: argparse.Namespace) -> int:
    """Draw a run's interpolations, nearest training images, latent arithmetic, or modes."""
    from benchmarks.evaluation.pictures import draw_pictures

    settings = settings_in(given.overrides, ("protocol", "checkpoint", "weights", "classes"))
    classes = settings.get("classes", "").split(",") if "classes" in settings else []
    if not all(label.isascii() and label.strip().isdecimal() for label in classes):
        raise UserError(f"classes must be numbers such as 9,7,2, got {settings['classes']}")
    for path in draw_pictures(
        expanded(given.run, "RUN"),
        settings.get("protocol"),
        settings.get("checkpoint", "last"),
        settings.get("weights"),
        [int(label) for label in classes],
    ):
        print(path)
    return 0
