"""Settings: the names from outside, and words for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import KeyFileError, SettingsError
from bot.secret import KEY_BYTES, load_key
from bot.settings import Settings, load_routed, load_settings, unknown_variables, variable

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)


def test_the_defaults_are_the_stated_ones() -> None:
    settings = load_settings(env_file=None)
    assert (settings.host, settings.port, settings.model, settings.workers) == ("127.0.0.1", 8080, "default", 1)
    assert (settings.retention_days, settings.max_session_h) == (7, 6)
    assert settings.database_url.startswith("sqlite+aiosqlite:////")
    assert settings.is_discord


def test_names_from_outside_keep_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", " secret \n")
    monkeypatch.setenv("DISCORD_API_BASE", "http://127.0.0.1:9/api/v10/")
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@db/undertone")
    monkeypatch.setenv("PORT", "9000")
    monkeypatch.setenv("UNDERTONE_LOG_LEVEL", "WARNING")
    settings = load_settings(env_file=None)
    assert settings.token == "secret"
    assert settings.discord_api_base == "http://127.0.0.1:9/api/v10"
    assert not settings.is_discord
    assert settings.database_url == "postgresql+asyncpg://u:p@db/undertone"
    assert (settings.port, settings.log_level) == (9000, "warning")


def test_a_dotenv_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ".env"
    file.write_text("DISCORD_TOKEN=from-file\nUNDERTONE_MODEL=fast\nPORT=\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("UNDERTONE_MODEL", "seed")
    settings = load_settings(env_file=file)
    assert (settings.token, settings.model, settings.port) == ("from-file", "seed", 8080)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('PORT=9000\nDISCORD_TOKEN="abc\nUNDERTONE_MODEL=fast\n', "line 2: .*close every quote"),
        ("the token is\nPORT=9000\n'abc'=\"x\n", "lines 1, 3: write NAME=value"),
    ],
)
def test_a_line_of_a_dotenv_file_that_says_nothing_is_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / ".env"
    file.write_text(text)
    with pytest.raises(SettingsError, match=words):
        load_settings(env_file=file)


def test_a_dotenv_file_with_the_mark_of_windows_editors_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("UNDERTONE_MODLE=fast\nPORT=9000\n", encoding="utf-8-sig")
    assert load_settings(env_file=file).port == 9000
    assert unknown_variables(file) == ["UNDERTONE_MODLE"]
    file.write_text("DISCORD_TOKEN=abc\n", encoding="utf-8-sig")
    assert load_settings(env_file=file).token == "abc"


def test_the_copied_example_is_taken_as_it_is() -> None:
    assert load_settings(env_file=Path(__file__).parents[2] / ".env.example").port == 8080


@pytest.mark.parametrize(
    "encoding", ["utf-16", "latin-1"]
)  # a shell of Windows writes the first, an old editor the second
def test_a_dotenv_file_that_is_no_utf_8_is_said(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / ".env"
    file.write_bytes("UNDERTONE_OPERATOR=Jos\u00e9\n".encode(encoding))
    with pytest.raises(SettingsError, match=r"\.env is not a text in UTF-8"):
        load_settings(env_file=file)


@pytest.mark.parametrize(
    "address",
    [
        "postgres://undertone:secret@db:PORT/undertone",
        "postgres://undertone:s@cret@db/undertone",
        "sqlite://data/undertone.db",
        "data/undertone.db",
    ],
)
def test_what_is_no_address_of_a_database_is_said(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DATABASE_URL", address)
    with pytest.raises(SettingsError, match="DATABASE_URL: must be an address such as") as caught:
        load_settings(env_file=None)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["sqlite:///data/undertone.db", "sqlite://", "postgres://u:a%40b/c@db:5432/undertone"]
)
def test_an_address_of_a_database_is_taken(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DATABASE_URL", address)
    assert load_settings(env_file=None).database_url.endswith(address.partition("://")[2])


def test_a_tilde_is_the_home_as_in_a_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("UNDERTONE_DATA_DIR", "~/kept")
    assert load_settings(env_file=None).data_dir == tmp_path / "kept"
    monkeypatch.setenv("UNDERTONE_DATA_DIR", "~nobody-of-this-name/kept")
    with pytest.raises(SettingsError, match="UNDERTONE_DATA_DIR: begins with ~nobody-of-this-name"):
        load_settings(env_file=None)


@pytest.mark.parametrize("address", ["http://", "https://[", "https://here:port", "https:///reports"])
def test_an_address_without_a_host_is_said(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("UNDERTONE_PUBLIC_URL", address)
    with pytest.raises(SettingsError, match="UNDERTONE_PUBLIC_URL: must name a host"):
        load_settings(env_file=None)


def test_overrides_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "a real one")
    monkeypatch.setenv("DATABASE_URL", "postgres://real")
    settings = load_settings(env_file=None, discord_token="demo", database_address=None)
    assert settings.token == "demo"
    assert settings.database_url.startswith("sqlite")


def test_wrong_values_are_named_with_what_to_write_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "eighty")
    monkeypatch.setenv("UNDERTONE_WORKERS", "-1")
    monkeypatch.setenv("UNDERTONE_PUBLIC_URL", "undertone.example.org")
    with pytest.raises(SettingsError) as caught:
        load_settings(env_file=None)
    lines = str(caught.value).splitlines()
    assert any(line.strip().startswith("PORT:") and "integer" in line for line in lines)
    assert any(line.strip().startswith("UNDERTONE_WORKERS:") for line in lines)
    assert any("UNDERTONE_PUBLIC_URL: must begin with http" in line for line in lines)


def test_a_missing_token_says_where_it_goes() -> None:
    with pytest.raises(SettingsError, match=r"DISCORD_TOKEN.*\.env.*demo"):
        _ = load_settings(env_file=None).token


def test_secrets_do_not_show_in_a_printed_settings_object() -> None:
    settings = load_settings(env_file=None, discord_token="hush", oauth_client_secret="hush too")
    assert "hush" not in repr(settings)


def test_the_key_is_made_once_for_this_user_only(tmp_path: Path) -> None:
    key = load_key(tmp_path / "data")
    assert len(key) == KEY_BYTES
    assert load_key(tmp_path / "data") == key
    assert (tmp_path / "data" / "secret.key").stat().st_mode & 0o777 == 0o600


def test_a_damaged_key_is_refused_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_bytes(b"short")
    with pytest.raises(KeyFileError, match="backup"):
        load_key(tmp_path)
    assert (tmp_path / "secret.key").read_bytes() == b"short"


def test_a_data_folder_that_cannot_be_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(KeyFileError, match="is no folder"):
        load_key(tmp_path / "data")


def test_a_host_that_gives_only_a_port_is_listened_to_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_routed(env_file=None).host == "127.0.0.1"
    monkeypatch.setenv("PORT", "5000")
    assert load_routed(env_file=None).host == "0.0.0.0"  # noqa: S104  # what is tested
    assert load_settings(env_file=None).host == "127.0.0.1"
    assert load_routed(env_file=None, host="::1").host == "::1"
    monkeypatch.setenv("UNDERTONE_HOST", "127.0.0.1")
    assert load_routed(env_file=None).host == "127.0.0.1"


def test_origins_are_a_list_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings(env_file=None).allowed_origins == ()
    monkeypatch.setenv("UNDERTONE_ALLOWED_ORIGINS", "http://localhost:5173/, https://old.example.org")
    assert load_settings(env_file=None).allowed_origins == ("http://localhost:5173", "https://old.example.org")
    for wrong in ("*", "localhost:5173", "https://old.example.org/page"):
        monkeypatch.setenv("UNDERTONE_ALLOWED_ORIGINS", wrong)
        with pytest.raises(SettingsError, match="UNDERTONE_ALLOWED_ORIGINS"):
            load_settings(env_file=None)


@pytest.mark.parametrize(
    "variable", ["UNDERTONE_DATA_DIR", "UNDERTONE_HOST", "UNDERTONE_MODEL", "UNDERTONE_PUBLIC_URL", "DATABASE_URL"]
)
def test_a_zero_byte_is_refused_wherever_it_stands(tmp_path: Path, variable: str) -> None:
    (tmp_path / ".env").write_bytes(f"{variable}=https://a\0b\n".encode())
    with pytest.raises(SettingsError, match=f"{variable}: must be a text without zero bytes"):
        load_settings(tmp_path / ".env")


def test_an_address_has_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERTONE_PUBLIC_URL", "https://example.org/\x07")
    with pytest.raises(SettingsError, match="UNDERTONE_PUBLIC_URL"):
        load_settings(None)
