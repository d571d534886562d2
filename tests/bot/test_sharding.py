"""Which servers a process has."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.assembly import need_shared
from bot.errors import SettingsError, StartError
from bot.settings import load_settings
from bot.sharding import Shards
from storage import Storage

pytestmark = pytest.mark.integration


def test_a_server_is_on_the_shard_that_its_id_says() -> None:
    settings = load_settings(env_file=None, shards="2, 0/4")
    assert settings.shards == Shards((0, 2), 4)
    assert str(settings.shards) == "0,2/4"
    # https://docs.discord.com/developers/events/gateway#sharding-sharding-formula
    assert [Shards((0, 2), 4).has(number << 22 | 5) for number in range(5)] == [True, False, True, False, True]
    assert not Shards((0, 2), 4).all
    assert Shards((0, 1), 2).all


@pytest.mark.parametrize(
    ("mine", "theirs", "common"),
    [
        ("0,1/4", "2,3/4", []),
        ("0,1/4", "1,2/4", [1]),
        ("0/1", "3/4", [0]),
        ("0,1/4", "1/2", [1]),
        ("0,2/4", "1/2", []),
        ("0,1/2", "2/3", [0, 1]),
    ],
)
def test_shards_of_other_numbers_may_have_servers_in_common(mine: str, theirs: str, common: list[int]) -> None:
    ours, others = Shards.parse(mine), Shards.parse(theirs)
    assert ours.common(others) == common
    both = {n % ours.count for n in range(12) if ours.has(n << 22) and others.has(n << 22)}
    assert set(common) == both


@pytest.mark.parametrize(
    ("mine", "theirs", "unserved"),
    [
        ("0,1/4", ["2,3/4"], []),
        ("0,1/4", ["2/4"], [3]),
        ("0,1/4", [], [2, 3]),
        ("0/1", [], []),
        ("0/4", ["0/1"], []),
        ("0,2/4", ["1/2"], []),
        ("0,1/4", ["1/2"], [2]),
        ("0/2", ["1/4"], [1]),
        ("0/2", ["1/4", "3/4"], []),
        ("0/3", ["0/2"], [1, 2]),
    ],
)
def test_shards_that_no_process_has_are_known(mine: str, theirs: list[str], unserved: list[int]) -> None:
    ours, others = Shards.parse(mine), [Shards.parse(one) for one in theirs]
    assert ours.unserved(others) == unserved
    alone = {n % ours.count for n in range(12) if not any(one.has(n << 22) for one in (ours, *others))}
    assert alone <= set(unserved)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("0", "such as 0,1/4"),
        ("0,1", "such as 0,1/4"),
        ("a/b", "such as 0,1/4"),
        ("0/0", "1 to 1000 shards"),
        ("0,4/4", "from 0 to 3"),
    ],
)
def test_wrong_shards_are_refused_in_words(written: str, words: str) -> None:
    with pytest.raises(SettingsError, match="UNDERTONE_SHARDS") as refused:
        load_settings(env_file=None, shards=written)
    assert words in str(refused.value)


async def test_one_file_cannot_be_shared_by_several_processes(tmp_path: Path) -> None:
    storage = await Storage.open(f"sqlite:///{tmp_path}/undertone.db", key=bytes(32))
    need_shared(None, storage)
    need_shared(Shards((0, 1), 2), storage)
    with pytest.raises(StartError, match="DATABASE_URL to a PostgreSQL"):
        need_shared(Shards((0,), 2), storage)
    await storage.close()
