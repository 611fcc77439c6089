"""C-16 … C-24 as far as a record alone decides them: what a status answer says, and to whom."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from adapters.base import ChannelName
from notify.ids import UUID_SHAPE, new_id
from notify.records import LogEntry, PausedLane, RequestRecord, RequestStatus
from tests.contract.face import BOT, SLACK_ONLY, UNKNOWN_BOT, Face, token

CREATED = 1643057721.254
SENT = LogEntry(
    id="nl-00000001-0000-5000-8000-000000000000",
    original_id=" John@abc.com",
    succeeded=True,
    outcome="sent",
    final_at=CREATED + 2,
    position=0,
    user_id="aad-1",
    channel_id="29:1964-s",
    tenant_id="tenant-1",
    store_id="ms-00000001-0000-5000-8000-000000000000",
    attempts=1,
    trace=({"source": "directory", "result": "found", "age_seconds": 12.0},),
)
MISSING = LogEntry(
    id="nl-00000002-0000-5000-8000-000000000000",
    original_id="nobody@abc.com",
    succeeded=False,
    outcome="refused",
    final_at=CREATED + 1,
    position=1,
    reason="person_not_found",
    code="users_not_found",
)


def record(*entries: LogEntry, status: RequestStatus = RequestStatus.PARTIAL_SUCCESS, total: int = 2) -> RequestRecord:
    return RequestRecord(
        id=new_id("ds"),
        bot_id=BOT,
        channel=ChannelName.MSTEAMS,
        created_by="u-00000001-0000-5000-8000-000000000000",
        route="v1",
        status=status,
        total=total,
        done=len(entries),
        succeeded=sum(entry.succeeded for entry in entries),
        created_at=CREATED,
        changed_at=CREATED + 2.5,
        entries=entries,
    )


def keep(face: Face, kept: RequestRecord) -> str:
    face.requests.records[kept.bot_id, kept.id] = kept
    return kept.id


class TestRecord:
    async def test_top_level(self, face: Face) -> None:
        """A finished request has exactly the documented keys and the two that came later."""
        answer = (await face.status(keep(face, record(MISSING, SENT)))).json

        assert set(answer) == {
            "_id", "status", "percentageComplete", "streamId", "createdBy", "jobType", "action", "statusLogs", "lMod",
            "createdOn", "requestedTime", "__v", "count", "store", "countOfDockStatuses",
        }  # fmt: skip
        assert (answer["status"], answer["percentageComplete"], answer["count"]) == ("PARTIAL_SUCCESS", 100, 2)
        assert [entry["_id"] for entry in answer["statusLogs"]] == [
            "nl-00000002-0000-5000-8000-000000000000",
            "nl-00000001-0000-5000-8000-000000000000",
        ]

    async def test_c21_times(self, face: Face) -> None:
        """C-21: `createdOn` is when the request was made, `lMod` when it last changed, cut to the second."""
        answer = (await face.status(keep(face, record(SENT)))).json

        assert answer["createdOn"] == answer["requestedTime"] == "2022-01-24T20:55:21.254Z"
        assert answer["lMod"] == "2022-01-24T20:55:23.000Z"

    @pytest.mark.parametrize(
        ("done", "total", "shown"), [(0, 3, 0), (1, 3, 33), (2, 3, 66), (3, 3, 99), (999, 1000, 99)]
    )
    async def test_c20_percentage(self, face: Face, done: int, total: int, shown: int) -> None:
        """C-20: the percentage is rounded down and reaches 100 only together with a final status."""
        running = replace(record(status=RequestStatus.IN_PROGRESS, total=total), done=done)

        answer = (await face.status(keep(face, running))).json

        assert answer["percentageComplete"] == shown
        assert answer["details"]["pending"] == total - done

    async def test_details_of_a_held_lane(self, face: Face) -> None:
        """A caller sees why a request waits and who can act."""
        lane = PausedLane("tenant-1", "credentials_rejected", "Check the secret.", CREATED)
        waiting = replace(
            record(status=RequestStatus.IN_PROGRESS), paused=(lane,), rate=4.0, estimated_completion=CREATED + 60
        )

        details = (await face.status(keep(face, waiting))).json["details"]

        assert details == {
            "pending": 2,
            "rate": 4.0,
            "estimatedCompletion": "2022-01-24T20:56:21.254Z",
            "paused": [
                {
                    "tenant": "tenant-1",
                    "reason": "credentials_rejected",
                    "remedy": "Check the secret.",
                    "who": "operator",
                    "since": "2022-01-24T20:55:21.254Z",
                }
            ],
        }


class TestEntry:
    async def test_success(self, face: Face) -> None:
        """C-16, C-18, C-19: a delivered entry has the exact comment, its three ids, and the identity as given."""
        kept = record(SENT)

        (entry,) = (await face.status(keep(face, kept))).json["statusLogs"]

        assert re.fullmatch(f"u-{UUID_SHAPE}", entry.pop("koreId"))
        assert entry == {
            "_id": "nl-00000001-0000-5000-8000-000000000000",
            "requestId": kept.id,
            "originalId": " John@abc.com",
            "status": "SUCCESS",
            "createdBy": "u-00000001-0000-5000-8000-000000000000",
            "comments": "Notification has been sent successfully",
            "streamId": BOT,
            "channel": "msteams",
            "channelId": "29:1964-s",
            "messagestoreId": "ms-00000001-0000-5000-8000-000000000000",
            "createdOn": "2022-01-24T20:55:23.254Z",
            "__v": 0,
            "details": {
                "outcome": "sent",
                "trace": [{"source": "directory", "age": 12.0, "result": "found"}],
                "attempts": 1,
            },
        }

    async def test_failure(self, face: Face) -> None:
        """C-17, C-18: an unresolved entry has Kore's comment with its inner quotes, and none of the three ids."""
        (entry,) = (await face.status(keep(face, record(MISSING)))).json["statusLogs"]

        assert entry["status"] == "FAILURE"
        assert entry["comments"] == "'Identity is not associated with the channel'"
        assert not {"koreId", "channelId", "messagestoreId"} & set(entry)
        assert entry["details"]["reason"] == "person_not_found"
        assert entry["details"]["code"] == "users_not_found"
        assert entry["details"]["remedy"].startswith("Check the address")
        assert entry["details"]["who"] == "sender"

    @pytest.mark.parametrize("reason", ["person_not_found", "person_disabled", "app_not_installed"])
    async def test_c17_reasons(self, face: Face, reason: str) -> None:
        """C-17: three reasons carry Kore's comment."""
        (entry,) = (await face.status(keep(face, record(replace(MISSING, reason=reason))))).json["statusLogs"]

        assert entry["comments"] == "'Identity is not associated with the channel'"

    async def test_c25_unconfirmed(self, face: Face) -> None:
        """C-25: an unconfirmed delivery is a failure that says the message may have arrived."""
        unclear = replace(MISSING, outcome="unconfirmed", reason="no_clear_answer")

        (entry,) = (await face.status(keep(face, record(unclear)))).json["statusLogs"]

        assert entry["status"] == "FAILURE"
        assert "may have arrived" in entry["comments"]
        assert entry["details"]["outcome"] == "unconfirmed"

    async def test_kore_id_is_the_person(self, face: Face) -> None:
        """`koreId` is the same for one person in two requests, and another one for another person."""
        someone = replace(SENT, id="nl-00000009-0000-5000-8000-000000000000", user_id="aad-2")
        first = (await face.status(keep(face, record(SENT, someone)))).json["statusLogs"]
        second = (await face.status(keep(face, record(SENT)))).json["statusLogs"]

        assert first[0]["koreId"] == second[0]["koreId"]
        assert first[0]["koreId"] != first[1]["koreId"]

    async def test_duplicate(self, face: Face) -> None:
        """A duplicate names the entry that it mirrors."""
        twin = replace(
            SENT, id="nl-00000003-0000-5000-8000-000000000000", duplicate_of="nl-00000001-0000-5000-8000-000000000000"
        )

        entries = (await face.status(keep(face, record(SENT, twin)))).json["statusLogs"]

        assert entries[1]["details"]["duplicateOf"] == "nl-00000001-0000-5000-8000-000000000000"
        assert entries[0]["koreId"] == entries[1]["koreId"]


class TestC23Unknown:
    async def test_foreign_unknown_malformed(self, face: Face) -> None:
        """C-23: the request of another bot, an unknown id and a malformed id give one and the same answer."""
        kept = keep(face, record(SENT))

        answers = [
            await face.status(kept, bot=SLACK_ONLY),
            await face.status(new_id("ds")),
            await face.status("nonsense"),
            await face.status("ds-%00"),
            await face.status("..%2f..%2fetc"),
        ]

        assert {answer.raw for answer in answers} == {b'{"errors":[{"msg":"Invalid request ID","code":400}]}'}
        assert {answer.status for answer in answers} == {400}

    async def test_c75_unknown_bot(self, face: Face) -> None:
        """C-75: the status route tells no more about bots than the send route."""
        answer = await face.status(new_id("ds"), bot=UNKNOWN_BOT)

        assert answer.refusal == (401, 4002, "Invalid SDK credentials")


class TestC24Method:
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
    async def test_status(self, face: Face, method: str) -> None:
        """C-24: the status route answers GET alone."""
        path = f"/api/public/bot/{BOT}/notify/status/{new_id('ds')}"

        answer = await face.call(method, path, headers={"auth": token()})

        assert answer.status == 405
        assert answer.headers["Allow"] == "GET"
        assert method == "HEAD" or answer.refusal == (405, 405, "Method Not Allowed")

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    async def test_send(self, face: Face, method: str) -> None:
        """C-24: the send route answers POST alone, and says so before it asks who calls."""
        answer = await face.call(method, f"/api/public/bot/{BOT}/notify")

        assert answer.refusal == (405, 405, "Method Not Allowed")
