"""What the web side refuses, and the one place that turns any error into an HTTP answer.

    Problem                a status, a stable code and a sentence for the person
    ├── NotFound           404
    ├── Gone               410
    ├── BadParameter       400
    ├── Forbidden          403
    ├── Conflict           409
    ├── SignInNeeded       401 (a page redirects to the sign-in instead)
    ├── Refused            409
    ├── Unavailable        503, says when to come back
    └── UploadRefused      a recording that is not analysed; status and code are the engine's

The interface under ``/api`` answers problem documents (RFC 9457), ``/predict`` the old app's ``{"error": …}``, and
pages a page. The engine's errors are turned into the same by `of_engine`.
"""

from __future__ import annotations

from typing import Any, Final

from ser_engine import errors as engine


class Problem(Exception):
    status = 500
    code = "unexpected"
    title = "Something broke on our side"

    def __init__(self, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s


class NotFound(Problem):
    status = 404
    code = "not_found"
    title = "There is nothing here"


class Gone(Problem):
    status = 410
    code = "gone"
    title = "This link does not work any more"


class BadParameter(Problem):
    status = 400
    code = "bad_parameter"
    title = "That request cannot be read"


class Forbidden(Problem):
    status = 403
    code = "forbidden"
    title = "This is not open to you"


class SignInNeeded(Problem):
    status = 401
    code = "sign_in_needed"
    title = "Please sign in"


class Conflict(Problem):
    status = 409
    code = "conflict"
    title = "Not while it runs"


class Refused(Problem):
    status = 409
    code = "refused"
    title = "That cannot be done"


class Unavailable(Problem):
    status = 503
    code = "unavailable"
    title = "Not available at the moment"


class UploadProblem(Exception):
    """A refused upload, with the status of the old contract."""

    def __init__(
        self, status: int, message: str, *, code: str = "upload_refused", retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s


class UploadRefused(Problem):
    """The same as a problem document."""

    title = "That recording is not analysed"

    def __init__(self, problem: UploadProblem) -> None:
        super().__init__(str(problem), retry_after_s=problem.retry_after_s)
        self.status, self.code = problem.status, problem.code


def document(status: int, code: str, title: str, detail: str) -> dict[str, Any]:
    """The body of a problem document."""
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}


_STATUS_OF_AUDIO: Final[dict[type[engine.AudioError], int]] = {
    engine.EmptyAudio: 400,
    engine.UnsupportedFormat: 400,
    engine.AudioTooLarge: 413,
    engine.AudioTooLong: 413,
}
_RETRY_AFTER_S: Final = 10


def of_engine(error: engine.EngineError) -> UploadProblem:
    """The engine's refusal as an answer to the uploader, in the engine's own sentence."""
    if isinstance(error, engine.AudioError):
        return UploadProblem(_STATUS_OF_AUDIO.get(type(error), 422), str(error), code=error.code)
    sentence = str(error) if error.key is not None else "The analysis is not available at the moment."
    return UploadProblem(503, sentence, code=error.code, retry_after_s=_RETRY_AFTER_S)
