"""The shapes of errors and request ids that Alibaba Cloud's APIs share."""

from task_cleanup.providers.model import ProviderError, Reply, text_member


def read_error(reply: Reply) -> ProviderError | None:
    """The error in a reply of any status: operations of Elasticsearch send some with HTTP 200."""
    body = reply.json_object()
    if body is None:
        return None
    code = text_member(body, ("Code", "code"))
    return ProviderError(code, text_member(body, ("Message", "message"))) if code else None


def request_id(reply: Reply) -> str | None:
    """The request id from the body, else from the gateway's header."""
    body = reply.json_object() or {}
    return text_member(body, ("RequestId", "requestId")) or reply.headers.get("x-acs-request-id") or None
