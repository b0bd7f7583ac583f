"""What can be wrong.

WorkerError              the worker ends with `exit_status`, having said why
├── BadOption            2: the command line asks for what cannot be
└── BadCheckpoint        1: the model folder is not one that may be served; nothing of it is used
ApiError                 one request is answered with `status`, in OpenAI's envelope; never retried here
"""

from __future__ import annotations


class WorkerError(Exception):
    exit_status = 1


class BadOption(WorkerError):
    exit_status = 2

    def __init__(self, option: str, value: object, mend: str) -> None:
        super().__init__(f"{option}: {value!r} is refused: {mend}")


class BadCheckpoint(WorkerError):
    """`subject` is the tensor, or the field of a JSON file."""

    def __init__(self, file: str, subject: str, problem: str) -> None:
        super().__init__(f"{file}: {subject}: {problem}")
        self.file, self.subject, self.problem = file, subject, problem


class ApiError(Exception):
    """`type` is vLLM's word for it; `param` the field of the body that is at fault; `retry_after` seconds until asking
    again may help, 0 where nothing is said of it."""

    def __init__(self, status: int, type: str, message: str, param: str | None = None, *, retry_after: int = 0) -> None:
        super().__init__(message)
        self.status, self.type, self.param, self.retry_after = status, type, param, retry_after

    def envelope(self) -> dict[str, object]:
        return {"error": {"message": str(self), "type": self.type, "param": self.param, "code": self.status}}

    @classmethod
    def bad_request(cls, message: str, param: str | None = None) -> ApiError:
        return cls(400, "BadRequestError", message, param)
