"""What all described things share: the shape of a name, and fields that are known and never change."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")]


class BaseSpec(BaseModel):
    """A description in which an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
