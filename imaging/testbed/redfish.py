"""A small Redfish beside the CMC of a virtual node: one system, its power state, and its resets.

As much of DMTF's DSP0266 as a power card needs, with basic authentication. What the machine does is
told by name, as to the CMC, so that the same faults act.
"""

import base64
import json
from collections.abc import Callable
from http import HTTPStatus

import h11

USER, PASSWORD = "admin", "testbed"
ROOT = "/redfish/v1"
SYSTEMS = f"{ROOT}/Systems"
VERBS = {
    "On": "on",
    "ForceOn": "on",
    "ForceOff": "off",
    "GracefulShutdown": "off",
    "ForceRestart": "reset",
}
STATES = {"on": "On", "off": "Off"}
Tell = Callable[[str], str]
"""Tells the machine a verb of the CMC's: the words of its answer."""


def is_redfish(path: str) -> bool:
    """Whether a request is for the Redfish service."""
    return path == ROOT or path.startswith(f"{ROOT}/")


def redfish_answer(
    name: str, request: h11.Request, body: bytes, tell: Tell
) -> tuple[int, dict[str, object]]:
    """The status and the document that answer a request to the BMC of the node ``name``."""
    path = request.target.decode("ascii", "replace").rstrip("/")
    system = f"{SYSTEMS}/{name}"
    reset = f"{system}/Actions/ComputerSystem.Reset"
    match request.method.decode("ascii", "replace"), path:
        case "GET", place if place == ROOT:  # everybody may see that there is a service
            return HTTPStatus.OK, {"RedfishVersion": "1.6.0", "Systems": {"@odata.id": SYSTEMS}}
        case _ if not _is_admitted(request):
            return _failure(HTTPStatus.UNAUTHORIZED, "who is there?")
        case "GET", place if place == SYSTEMS:
            return HTTPStatus.OK, {"Members": [{"@odata.id": system}]}
        case "GET", place if place == system:
            action = {"target": reset, "ResetType@Redfish.AllowableValues": list(VERBS)}
            state = tell("status")
            return HTTPStatus.OK, {
                "@odata.id": system,
                "Name": name,
                "Manufacturer": "virtual testbed",
                "PowerState": STATES.get(state, state),
                "Actions": {"#ComputerSystem.Reset": action},
            }
        case "POST", place if place == reset:
            verb = VERBS.get(_reset_type(body))
            if verb is None:
                return _failure(HTTPStatus.BAD_REQUEST, "no such ResetType")
            tell(verb)
            return HTTPStatus.NO_CONTENT, {}
    return _failure(HTTPStatus.NOT_FOUND, "no such resource")


def _is_admitted(request: h11.Request) -> bool:
    told = base64.b64encode(f"{USER}:{PASSWORD}".encode())
    return (b"authorization", b"Basic " + told) in list(request.headers)


def _reset_type(body: bytes) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return str(document.get("ResetType")) if isinstance(document, dict) else ""


def _failure(status: HTTPStatus, message: str) -> tuple[int, dict[str, object]]:
    return status, {"error": {"code": "Base.1.0.GeneralError", "message": message}}
