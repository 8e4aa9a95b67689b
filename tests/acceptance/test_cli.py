"""The command line as people and scripts run it: against a server, and on its own."""

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import pictures
from tests.acceptance.conftest import RunningServer, command, environment
from tests.servers import free_port, wait_until

DEADLINE_S = 60
FAKE = ("--model", "fake")
ALONE = {"SAFELIGHT_FAKE_PROVIDER": "1", "SAFELIGHT_MIN_FREE_BYTES": "0"}
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def run_in(folder: Path, variables: dict[str, str]) -> Run:
    """A function that runs `safelight` with these variables, in this folder."""

    def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command(*words),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=DEADLINE_S,
            cwd=folder,
            env=variables,
        )

    return run


@pytest.fixture
def safelight(server: RunningServer, tmp_path: Path) -> Run:
    """The command on the machine where the server runs."""
    return run_in(tmp_path, environment(server.data_dir))


@pytest.fixture
def alone(tmp_path: Path) -> Run:
    """The command on a machine where nothing runs."""
    return run_in(tmp_path, environment(tmp_path / "data", ALONE))


def failed(done: "subprocess.CompletedProcess[str]", exit_code: int, *words: str) -> str:
    """The one line on stderr that says why, below the progress."""
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("safelight: ")
    for word in words:
        assert word in line
    return line


def param(**script: Any) -> list[str]:
    """Parameters of the fake model, as options."""
    return [word for name, value in script.items() for word in ("--param", f"{name}={value}")]


# --- against a running server ----------------------------------------------------------------


def test_assets_when_asked_for_by_words_are_listed_with_their_addresses(safelight: Run) -> None:
    made = safelight("generate", "a zeppelin over the harbour", *FAKE)
    found = safelight("assets", "zeppelins harbour").stdout.split("\t")
    assert found[1:3] == ["1x1", "png"]
    assert found[4] == "a zeppelin over the harbour"
    assert found[5] == made.stdout
    assert json.loads(safelight("assets", "zeppelin", "--json").stdout)[0]["url"] in made.stdout
    assert safelight("assets", "zeppelin", "--format", "jpeg").stdout == ""
    failed(safelight("assets", "!!!"), 2, "q", "holds no word")


def test_generate_when_a_server_runs_prints_the_address_and_the_progress(
    safelight: Run, server: RunningServer
) -> None:
    done = safelight("generate", "a lamp", *FAKE)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{server.url}/files/images/job_")
    assert len(done.stdout.splitlines()) == 1
    assert "a lamp: succeeded" in done.stderr


def test_generate_when_given_an_output_saves_it_over_what_was_there(
    safelight: Run, server: RunningServer, tmp_path: Path
) -> None:
    target = tmp_path / "lamp.png"
    target.write_text("old")

    done = safelight("generate", "a lamp", *FAKE, "-o", "lamp.png")

    path, url = done.stdout.rstrip("\n").split("\t")
    assert (path, url.startswith(server.url)) == ("lamp.png", True)
    assert target.read_bytes().startswith(b"\x89PNG")
    assert [entry.name for entry in tmp_path.iterdir()] == ["lamp.png"]


def test_generate_when_there_are_several_outputs_numbers_them(
    safelight: Run, tmp_path: Path
) -> None:
    safelight("generate", "a lamp", *FAKE, *param(outputs=2), "-o", "lamp.png")
    safelight("generate", "a lamp", *FAKE, *param(outputs=2), "-o", "lamps/")

    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png"))
    assert found == ["lamp-1.png", "lamp-2.png", "lamps/a lamp-2.png", "lamps/a lamp.png"]


def test_generate_when_the_ending_names_another_format_converts_to_it(
    safelight: Run, tmp_path: Path
) -> None:
    done = safelight("generate", "a lamp", *FAKE, "-o", "lamp.avif")
    assert done.returncode == 0, done.stderr
    assert b"avif" in (tmp_path / "lamp.avif").read_bytes()[:32]


def test_generate_when_the_output_is_a_dash_is_the_picture_on_standard_output(
    safelight: Run, server: RunningServer, tmp_path: Path
) -> None:
    done = subprocess.run(
        command("generate", "a lamp", *FAKE, "-o", "-"),
        cwd=tmp_path,
        env=environment(server.data_dir),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith(b"\x89PNG")
    assert b"succeeded" in done.stderr
    failed(
        safelight("generate", "a lamp", *FAKE, *param(outputs=2), "-o", "-"), 1, "takes one result"
    )


def test_generate_when_words_were_not_understood_says_which(safelight: Run) -> None:
    done = safelight("generate", "a cat in the style of van gogh", "--size", "64x64")
    assert "Not understood, and not drawn: van gogh." in done.stderr
    shown = safelight("generate", "a red cat", "--size", "64x64", "--json")
    (asset,) = json.loads(shown.stdout)["outputs"]
    assert (asset["facts"]["recognized"], asset["facts"]["unrecognized"]) == (["red cat"], [])


def test_generate_when_the_size_is_none_says_how_one_is_written(safelight: Run) -> None:
    done = safelight("generate", "a lamp", "--size", "big")
    failed(done, 2, "'big' is not valid: WIDTHxHEIGHT in pixels")
    assert "[1-9]" not in done.stderr


def test_jobs_when_none_matches_does_not_say_that_there_are_none(safelight: Run) -> None:
    safelight("generate", "a lamp", *FAKE)
    listed = safelight("jobs", "--kind", "image_to_3d", "--status", "canceled")
    assert listed.stderr.strip() == "No job matches."
    wrong = safelight("jobs", "--status", "done")
    failed(wrong, 2, "'queued', 'running', 'succeeded', 'failed' or 'canceled'")


def test_generate_when_asked_for_json_prints_the_job_and_nothing_else(safelight: Run) -> None:
    done = safelight("generate", "a lamp", *FAKE, "--json")

    job = json.loads(done.stdout)
    assert (job["status"], job["prompt"], len(job["outputs"])) == ("succeeded", "a lamp", 1)


def test_generate_when_given_a_file_to_refer_to_uploads_it(safelight: Run, tmp_path: Path) -> None:
    (tmp_path / "seen.png").write_bytes(pictures.picture("png", 64, 64))

    done = safelight("generate", "like this", *FAKE, "--reference", "seen.png", "--json")

    job = json.loads(done.stdout)
    assert job["kind"] == "image_to_image"
    assert job["inputs"][0]["source"].startswith("ast_")


def test_generate_when_the_job_fails_says_why_in_one_line(safelight: Run) -> None:
    script = param(errors='["provider_rejected"]')

    done = safelight("generate", "a broken lamp", *FAKE, *script, "--json")

    failed(done, 1, "The provider could not do the work", "provider_rejected")
    assert json.loads(done.stdout)["status"] == "failed"


def interrupted(folder: Path, variables: dict[str, str]) -> str:
    """The last line of a `generate` that meets Ctrl-C while its job runs."""
    notes = folder / "notes"
    with (
        notes.open("wb") as stderr,
        subprocess.Popen(
            command("generate", "a slow lamp", *FAKE, *param(seconds=30)),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=folder,
            env=variables,
        ) as process,
    ):
        wait_until(lambda: b"pretending" in notes.read_bytes(), DEADLINE_S)
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 130
    return notes.read_text().splitlines()[-1]


def test_generate_when_interrupted_says_that_the_job_goes_on(
    server: RunningServer, safelight: Run, tmp_path: Path
) -> None:
    last = interrupted(tmp_path, environment(server.data_dir))

    assert "goes on" in last
    job_id = last.split()[-1]
    assert json.loads(safelight("job", job_id, "--json").stdout)["status"] == "running"
    assert safelight("cancel", job_id).stdout == f"{job_id} is canceled\n"


def test_generate_when_it_waits_long_enough_stops_waiting_and_the_job_goes_on(
    safelight: Run,
) -> None:
    done = safelight("generate", "a lamp", *FAKE, *param(seconds=30), "--timeout", "1")
    failed(done, 1, "Not done within 1 s: it is running")
    job_id = done.stderr.split()[-1]
    assert "goes on" in done.stderr
    assert json.loads(safelight("job", job_id, "--json").stdout)["status"] == "running"
    assert safelight("cancel", job_id).returncode == 0


def test_workers_when_a_server_runs_lists_it(safelight: Run) -> None:
    (worker,) = json.loads(safelight("workers", "--json").stdout)
    assert worker["alive"]
    line = safelight("workers").stdout
    assert worker["id"] in line
    assert "remote:" in line


def test_job_commands_when_used_in_turn_show_cancel_and_redrive_it(safelight: Run) -> None:
    queued = safelight("generate", "a lamp", *FAKE, *param(seconds=30), "--no-wait")
    job_id = queued.stdout.strip()
    assert job_id.startswith("job_")

    assert safelight("cancel", job_id).returncode == 0
    failed(safelight("cancel", job_id), 2, "already canceled")
    assert "status    canceled" in safelight("job", job_id).stdout
    assert safelight("redrive", job_id, "--no-wait").stdout.strip() == job_id
    rows = [line.split("\t") for line in safelight("jobs", "--limit", "5").stdout.splitlines()]
    assert job_id in {row[0] for row in rows}
    assert safelight("cancel", job_id).returncode == 0


def test_model3d_when_given_pictures_saves_a_model_of_each(safelight: Run, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(pictures.picture("png", 96, 96))

    done = safelight("model3d", "one.png", "two.png", "-o", "models")

    assert done.returncode == 0, done.stderr
    for name in ("one.glb", "two.glb"):
        assert (tmp_path / "models" / name).read_bytes().startswith(b"glTF")
    jobs = safelight("jobs", "--kind", "image_to_3d", "--limit", "1", "--json")
    job_id = json.loads(jobs.stdout)[0]["id"]
    assert safelight("download", job_id, "-o", "mug.ply").returncode == 0
    assert (tmp_path / "mug.ply").read_bytes().startswith(b"ply")


def test_model3d_when_the_mask_is_a_guess_says_what_is_better(
    safelight: Run, tmp_path: Path
) -> None:
    (tmp_path / "busy.png").write_bytes(pictures.picture("png", 96, 96))
    done = safelight("model3d", "busy.png", "--param", "mask=grabcut")
    assert done.returncode == 0, done.stderr
    assert "Low quality: The object was told from a busy background" in " ".join(
        done.stderr.split()
    )


def test_model3d_when_there_are_too_many_files_sends_none(safelight: Run) -> None:
    failed(safelight("model3d", *["mug.png"] * 26), 2, "At most 25", "26 were given")


def test_model3d_when_a_file_is_no_picture_names_it(safelight: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("just some text")

    failed(safelight("model3d", "notes.png"), 2, "notes.png")


def test_import_when_all_of_a_list_is_refused_fails_and_says_of_each_why(
    safelight: Run, tmp_path: Path
) -> None:
    (tmp_path / "urls.txt").write_text("# two\nhttp://127.0.0.1:9/a.png\n\nhttp://10.0.0.1/b.png\n")

    done = safelight("import", "urls.txt")

    failed(done, 1, "2 of 2")
    assert "http://127.0.0.1:9/a.png: This address is not allowed" in done.stderr


def test_models_when_listed_name_what_is_installed(safelight: Run) -> None:
    shown = {line.split("\t")[0] for line in safelight("models").stdout.splitlines()}
    assert {"sketch", "inflate", "link"} <= shown


# --- wrong from the start --------------------------------------------------------------------


def test_command_when_the_server_is_away_fails_with_3(tmp_path: Path) -> None:
    away = {
        "SAFELIGHT_URL": f"http://127.0.0.1:{free_port()}",
        "SAFELIGHT_API_KEY": "sk_nobody",
    }
    failed(run_in(tmp_path, environment(tmp_path, away))("jobs"), 3, "No server answers")


def test_command_when_the_key_is_wrong_fails_with_2(server: RunningServer, tmp_path: Path) -> None:
    wrong = {"SAFELIGHT_URL": server.url, "SAFELIGHT_API_KEY": "sk_wrong"}
    failed(run_in(tmp_path, environment(tmp_path, wrong))("jobs"), 2, "A valid API key is needed")


def test_command_when_a_setting_is_wrong_names_it(tmp_path: Path) -> None:
    wrong = environment(tmp_path, {"SAFELIGHT_PORT": "many"})
    failed(run_in(tmp_path, wrong)("jobs"), 2, "SAFELIGHT_PORT")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("generate", "x", "-o", "no/folder.png"), "no/folder.png"),
        (("generate", "x", "-o", "cat.bmp"), ".png, .jpg, .webp, .avif"),
        (("generate", "x", "-o", "/dev/null"), "not a regular file"),
        (("generate", "x", "-o", "-", "--json"), "--json"),
        (("generate", "x", "-o", "cat.jpg", "--format", "png"), "contradicts"),
        (("generate", "x", "--size", "64x64", "--aspect-ratio", "1:1"), "not both"),
        (("generate", "x", "--size", "64x64", "--param", "size=9x9"), "given twice"),
        (("doctor", "--model", "sketch"), "--live"),
        (("generate", "x", "--param", "n"), "NAME=VALUE"),
        (("generate", "x", "--reference", "gone.png"), "gone.png"),
        (("generate", "x", "--no-wait"), "safelight serve"),
        (("model3d", "gone.png"), "gone.png"),
        (("import", "gone.txt"), "gone.txt"),
        (("import", "ftp://example.com/a.png"), "http"),
    ],
)
def test_command_when_typed_wrong_starts_nothing_and_fails_with_2(
    alone: Run, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    failed(alone(*words), 2, says)
    assert not (tmp_path / "data").exists()


# --- on its own ------------------------------------------------------------------------------


def test_generate_when_no_server_runs_does_the_job_itself(alone: Run, tmp_path: Path) -> None:
    done = alone("generate", "a lamp", *FAKE, "-o", "lamp.png")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lamp.png").read_bytes().startswith(b"\x89PNG")
    assert "a lamp" in alone("jobs").stdout


def test_generate_when_no_server_runs_and_nothing_is_saved_says_where_the_file_is(
    alone: Run,
) -> None:
    done = alone("generate", "a lamp", *FAKE)

    file = Path(done.stderr.splitlines()[-1].removeprefix("The file is "))
    assert file.read_bytes().startswith(b"\x89PNG")
    assert done.stdout.rstrip().endswith(file.name)


def test_generate_when_two_run_without_a_server_take_turns(tmp_path: Path) -> None:
    both = [
        subprocess.Popen(
            command("generate", f"lamp {number}", *FAKE, *param(seconds=0.5)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
            env=environment(tmp_path / "data", ALONE),
        )
        for number in range(2)
    ]
    assert [process.wait(DEADLINE_S) for process in both] == [0, 0]


def test_generate_when_interrupted_without_a_server_keeps_the_job(
    alone: Run, tmp_path: Path
) -> None:
    last = interrupted(tmp_path, environment(tmp_path / "data", ALONE))

    assert "goes on when Safelight runs next" in last
    assert "queued" in alone("jobs").stdout
