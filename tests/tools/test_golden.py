"""Golden files: rewritten as a whole, and every difference is named."""

from pathlib import Path

from tools import golden


def test_rewriting_makes_a_folder_current(tmp_path: Path) -> None:
    folder = tmp_path / "golden"
    names = [name for name, _ in golden.golden_files()]
    assert golden.rewrite(folder) == len(names) == len(set(names))
    assert golden.differences(folder) == []
    assert golden.rewrite(folder) == 0


def test_each_difference_is_named(tmp_path: Path) -> None:
    golden.rewrite(tmp_path)
    gone, changed, *_ = (name for name, _ in golden.golden_files())
    (tmp_path / gone).unlink()
    (tmp_path / changed).write_bytes(b"data: x\n\n")
    (tmp_path / "old.anthropic-gemini.sse").touch()
    assert golden.differences(tmp_path) == [
        f"different: {changed}",
        f"missing: {gone}",
        "without a recording: old.anthropic-gemini.sse",
    ]
    golden.rewrite(tmp_path)
    assert not (tmp_path / "old.anthropic-gemini.sse").exists()
