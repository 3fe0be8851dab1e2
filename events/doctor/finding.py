"""What the doctor found at one place: a value, made by its modules, shown by the command `doctor` and by `checks`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at and what was found there; `remedy` says what to do, and is empty where all is well."""

    subject: str
    found: str
    remedy: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether something is to be done."""
        return bool(self.remedy)
