"""MLS as a delivery service sees it, against what libdave and davey write and accept."""

from __future__ import annotations

import dave
import davey
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.voice import mls

pytestmark = pytest.mark.unit

GROUP = 7_700_000_000_000_000_077
ANNA, BEN, CLEO = 11, 12, 13


@pytest.fixture
def sender() -> mls.ExternalSender:
    return mls.ExternalSender(GROUP)


def libdave(user_id: int, sender: mls.ExternalSender) -> dave.Session:
    session = dave.Session(lambda source, reason: None)
    session.init(1, GROUP, str(user_id), None)
    session.set_external_sender(sender.package())
    return session


def package_of(session: dave.Session) -> mls.KeyPackage:
    marshalled = session.get_marshalled_key_package()
    assert marshalled is not None
    return mls.parse_key_package(marshalled)


def snazzah(user_id: int, sender: mls.ExternalSender) -> davey.DaveSession:
    session = davey.DaveSession(1, user_id, GROUP)
    session.set_external_sender(sender.package())
    return session


@given(st.binary(max_size=20_000))
def test_a_vector_is_read_back_as_it_was_written(data: bytes) -> None:
    reader = mls.Reader(mls.vec(data) + b"rest")
    assert reader.vec() == data
    assert reader.left == 4


@pytest.mark.parametrize(
    ("size", "head"), [(0, "00"), (63, "3f"), (64, "4040"), (16_383, "7fff"), (16_384, "80004000")]
)
def test_a_vectors_length_takes_one_two_or_four_bytes(size: int, head: str) -> None:
    assert mls.vec(bytes(size))[: len(head) // 2].hex() == head


def test_lengths_that_do_not_hold_are_refused() -> None:
    for data in (b"", b"\xc0", b"\x05abc", b"\x40"):
        with pytest.raises(mls.MlsError):
            mls.Reader(data).vec()


def test_both_libraries_key_packages_are_read(sender: mls.ExternalSender) -> None:
    ours = package_of(libdave(ANNA, sender))
    theirs = mls.parse_key_package(snazzah(BEN, sender).get_serialized_key_package())
    assert (ours.user_id, theirs.user_id) == (ANNA, BEN)
    assert ours.ref != theirs.ref


@given(st.binary(max_size=400))
def test_noise_is_neither_a_key_package_nor_a_commit(data: bytes) -> None:
    with pytest.raises(mls.MlsError):
        mls.parse_key_package(data)
    with pytest.raises(mls.MlsError):
        mls.parse_commit(data)


def test_what_follows_a_key_package_is_refused(sender: mls.ExternalSender) -> None:
    data = snazzah(BEN, sender).get_serialized_key_package()
    with pytest.raises(mls.MlsError, match="1 bytes after"):
        mls.parse_key_package(data + b"\0")
    with pytest.raises(mls.MlsError):
        mls.parse_key_package(data[:-1])
    with pytest.raises(mls.MlsError, match="another version"):
        mls.parse_key_package(b"\0\2" + data[2:])


def test_a_commit_is_split_from_its_welcome_and_the_welcome_cut_for_each(sender: mls.ExternalSender) -> None:
    anna, ben, cleo = libdave(ANNA, sender), snazzah(BEN, sender), libdave(CLEO, sender)
    packages = [
        mls.parse_key_package(ben.get_serialized_key_package()),
        package_of(cleo),
    ]
    proposals = [sender.propose_add(0, package) for package in packages]
    answer = anna.process_proposals(mls.append_message(proposals), {str(ANNA), str(BEN), str(CLEO)})
    assert answer is not None
    commit = mls.parse_commit(answer)
    assert (commit.group_id, commit.epoch, commit.leaf) == (GROUP, 0, 0)
    assert commit.refs == tuple(proposal.ref for proposal in proposals)
    assert answer.startswith(commit.data)
    assert commit.welcome is not None
    assert [ref for ref, _ in commit.welcome.secrets] == [package.ref for package in packages]

    assert isinstance(anna.process_commit(commit.data), dict)
    ben.process_welcome(commit.welcome.for_member(packages[0].ref))
    assert cleo.process_welcome(commit.welcome.for_member(packages[1].ref), {str(ANNA), str(BEN), str(CLEO)})
    authenticator = anna.get_last_epoch_authenticator()
    assert ben.get_epoch_authenticator() == authenticator
    assert cleo.get_last_epoch_authenticator() == authenticator
    with pytest.raises(mls.MlsError, match="for others"):
        commit.welcome.for_member(b"nobody")


def test_a_removal_is_followed_by_both_libraries(sender: mls.ExternalSender) -> None:
    anna, ben, cleo = libdave(ANNA, sender), snazzah(BEN, sender), libdave(CLEO, sender)
    everyone = {str(ANNA), str(BEN), str(CLEO)}
    packages = [
        mls.parse_key_package(ben.get_serialized_key_package()),
        package_of(cleo),
    ]
    adds = mls.append_message([sender.propose_add(0, package) for package in packages])
    first = mls.parse_commit(anna.process_proposals(adds, everyone) or b"")
    assert first.welcome is not None
    anna.process_commit(first.data)
    ben.process_welcome(first.welcome.for_member(packages[0].ref))

    removal = mls.append_message([sender.propose_remove(1, CLEO, 2)])
    anna.process_proposals(removal, everyone)
    answer = ben.process_proposals(davey.ProposalsOperationType.append, removal[1:])
    assert answer is not None
    second = mls.parse_commit(answer.commit + (answer.welcome or b""))
    assert (second.epoch, second.leaf, second.welcome) == (1, 1, None)
    anna.process_commit(second.data)
    ben.process_commit(second.data)
    assert ben.get_epoch_authenticator() == anna.get_last_epoch_authenticator()
    assert set(ben.get_user_ids()) == {str(ANNA), str(BEN)}


def test_a_proposal_can_be_taken_back(sender: mls.ExternalSender) -> None:
    anna, ben = snazzah(ANNA, sender), libdave(BEN, sender)
    package = package_of(ben)
    first, second = sender.propose_add(0, package), sender.propose_add(0, package)
    anna.process_proposals(davey.ProposalsOperationType.append, mls.append_message([first])[1:])
    anna.process_proposals(davey.ProposalsOperationType.revoke, mls.revoke_message([first.ref])[1:])
    answer = anna.process_proposals(davey.ProposalsOperationType.append, mls.append_message([second])[1:])
    assert answer is not None
    assert mls.parse_commit(answer.commit + (answer.welcome or b"")).refs == (second.ref,)


def test_a_signature_that_does_not_hold_is_refused_by_the_members(sender: mls.ExternalSender) -> None:
    anna, ben = snazzah(ANNA, sender), libdave(BEN, sender)
    package = package_of(ben)
    stranger = mls.ExternalSender(GROUP)
    with pytest.raises(ValueError, match=r"."):
        anna.process_proposals(
            davey.ProposalsOperationType.append, mls.append_message([stranger.propose_add(0, package)])[1:]
        )
