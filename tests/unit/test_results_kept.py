"""Results in hand on disk: what a dead process left beside them does not keep them from going."""

from pathlib import Path

from safelight.providers.provider import Done, MediaFile
from safelight.worker.attempt import results


def test_drop_when_a_dead_process_left_folders_there_removes_the_whole_result(
    tmp_path: Path,
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    made = scratch / "0.png"
    made.write_bytes(b"a picture")
    kept = tmp_path / "results"
    results.keep(kept, "att_1", scratch, Done((MediaFile(made, "image/png"),)))
    (kept / "att_1" / "renditions-ast_1").mkdir()
    assert results.attempts(kept) == ["att_1"]
    results.drop(kept, "att_1")
    assert not (kept / "att_1").exists()
