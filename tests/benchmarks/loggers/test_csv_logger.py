"""The CSV log: appended, and cut where a resumed run goes on."""

from benchmarks.loggers.csv_logger import CsvLogger


def test_resume_drops_what_will_be_written_again(tmp_path):
    logger = CsvLogger(tmp_path / "logs", "id", images_seen=0)
    for step in (10, 20, 30):
        logger.log_metrics({"train/loss": step / 2}, step=step)
    text = logger.path.read_text()
    logger.path.write_text(text + "40,tra")  # cut while writing
    again = CsvLogger(tmp_path / "logs", "id", images_seen=20)
    again.log_metrics({"train/loss": 15.0}, step=30)
    assert again.path.read_text() == text
    assert (again.name, again.version) == ("csv", "id")


def test_names_with_commas_survive(tmp_path):
    logger = CsvLogger(tmp_path, "id", 0)
    logger.log_metrics({"a,b": 1.0}, step=1)
    assert logger.path.read_text() == 'images_seen,name,value\n1,"a,b",1.0\n'
