"""How a provider is shown the credential that we hold for it."""

from typing import assert_never

from penstock.core.secret import Secret
from penstock.upstreams.settings import AuthStyle


def credential_headers(style: AuthStyle, credential: Secret | None) -> dict[str, str]:
    """Return the headers that carry a credential; none if there is none, or the provider wants none."""
    if credential is None:
        return {}
    match style:
        case "bearer":
            return {"authorization": f"Bearer {credential.reveal()}"}
        case "x-api-key" | "x-goog-api-key" | "api-key":
            return {style: credential.reveal()}
        case "none":
            return {}
        case _:
            assert_never(style)
