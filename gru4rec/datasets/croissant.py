"""A Croissant description of prepared files: what they are, where they come from, how many they hold, their SHA-256.

Croissant (MLCommons, version 1.0) is JSON-LD; ``pip install 'gru4rec-parity[croissant]'`` brings ``mlcroissant``, which
validates such a file and reads the data that it describes::

    mlcroissant.Dataset("data/rsc15/rsc15_croissant.json").records("test")
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gru4rec import environment, files
from gru4rec.datasets.prepared import Counts

VERSION = "http://mlcommons.org/croissant/1.0"
FORMATS = {"tsv": "text/tab-separated-values", "txt": "text/tab-separated-values", "parquet": "application/x-parquet"}
_CITE = (
    "B. Hidasi, A. T. Czapp: The Effect of Third Party Implementations on Reproducibility. RecSys 2023, "
    "arXiv 2307.14956"
)
_RAW_EVENTS = "raw/events"
# The context of Croissant 1.0, as the standard has it.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@dataclass(frozen=True)
class File:
    """A file as it was when it was described. name: without its folder. size: in bytes."""

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path, name: str | None = None) -> "File":
        return cls(name or path.name, path.stat().st_size, files.sha256(path))


@dataclass(frozen=True)
class Description:
    """What a description says.

    Attributes:
        name: of the data set.
        files: the prepared ones, by part.
        counts: what they hold, by part.
        raw: the files that they were made of.
        raw_events: which these hold.
        steps: how, in words.
        homepage: where the raw files are to be had.
        time_type: ``sc:Integer`` or ``sc:Float``.
        time_unit: of the Time column, in words.
    """

    name: str
    files: Mapping[str, File]
    counts: Mapping[str, Counts]
    raw: tuple[File, ...]
    raw_events: int
    steps: str
    homepage: str
    time_type: str
    time_unit: str

    def as_json(self) -> dict[str, Any]:
        """The JSON-LD."""
        return {
            "@context": _CONTEXT,
            "@type": "sc:Dataset",
            "conformsTo": VERSION,
            "name": f"{self.name}-sessions",
            "description": f"{self.name} as sessions for GRU4Rec: {self.steps}.",
            "url": self.homepage,
            "citeAs": _CITE,
            "version": environment.own_version(),
            "isBasedOn": [
                {"@type": "sc:CreativeWork", "name": each.name, "contentSize": f"{each.size} B", "sha256": each.sha256}
                for each in self.raw
            ],
            "variableMeasured": [
                {"@type": "sc:PropertyValue", "name": f"{part}/{what}", "value": value}
                for part, counts in self.counts.items()
                for what, value in counts._asdict().items()
            ]
            + [{"@type": "sc:PropertyValue", "name": _RAW_EVENTS, "value": self.raw_events}],
            "distribution": [self._file_object(part, each) for part, each in self.files.items()],
            "recordSet": [self._record_set(part) for part in self.files],
        }

    @staticmethod
    def _file_object(part: str, file: File) -> dict[str, Any]:
        return {
            "@type": "cr:FileObject",
            "@id": f"{part}-file",
            "name": file.name,
            "contentUrl": file.name,
            "contentSize": f"{file.size} B",
            "encodingFormat": FORMATS[file.name.rpartition(".")[2]],
            "sha256": file.sha256,
        }

    def _record_set(self, part: str) -> dict[str, Any]:
        events, sessions, items = self.counts[part]
        about = {
            "SessionId": ("sc:Integer", "the session"),
            "ItemId": ("sc:Integer", "the item"),
            "Time": (self.time_type, self.time_unit),
        }
        fields = [
            {
                "@type": "cr:Field", "@id": f"{part}/{name}", "name": name, "description": what, "dataType": kind,
                "source": {"fileObject": {"@id": f"{part}-file"}, "extract": {"column": name}},
            }
            for name, (kind, what) in about.items()
        ]  # fmt: skip
        return {
            "@type": "cr:RecordSet",
            "@id": part,
            "name": part,
            "description": f"{events} events, {sessions} sessions, {items} items",
            "field": fields,
        }


class Provenance(NamedTuple):
    """What a description says of files: the prepared ones by part, the raw ones, and the events that these hold."""

    files: dict[str, File]
    raw: tuple[File, ...]
    raw_events: int


def read(path: Path) -> Provenance:
    """What a description that this project wrote says of its files.

    Raises:
        ValueError: for a file that is none.
        OSError: where it cannot be read.
    """
    content = files.read_json(path, "Croissant description")
    try:
        parts = {each["@id"].removesuffix("-file"): _file(each) for each in content["distribution"]}
        (raw_events,) = (each["value"] for each in content["variableMeasured"] if each["name"] == _RAW_EVENTS)
        return Provenance(parts, tuple(_file(each) for each in content["isBasedOn"]), int(raw_events))
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise ValueError(f"{path} is no Croissant description of prepared files: {problem!r}"[:300]) from None


def _file(each: Mapping[str, Any]) -> File:
    return File(str(each["name"]), int(each["contentSize"].removesuffix(" B")), str(each["sha256"]))


def as_text(description: Description) -> str:
    return json.dumps(description.as_json(), indent=1) + "\n"
