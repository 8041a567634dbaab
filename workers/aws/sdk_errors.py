"""What AWS's SDK raises, as errors of this package: told apart by type, code and status."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions
from botocore.parsers import ResponseParserError

from workers.aws.errors import (
    EXPIRED,
    FORBIDDEN,
    NO_CREDENTIALS,
    PARAMETER_VALIDATION,
    QUOTAS,
    THROTTLED,
    UNKNOWN_CREDENTIALS,
    AwsRefused,
    AwsThrottled,
)
from workers.environments import CloudUnavailable

_TOO_MANY, _BROKEN = 429, 500
_LONGEST = 1000

_HOW_TO_LOG_IN = (
    "The administrator gives this host credentials: a role of its instance or pod, AWS_ACCESS_KEY_ID and"
    " AWS_SECRET_ACCESS_KEY, or a profile (launchd.aws.profile)."
)
_HOW_TO_GET_MORE = (
    "Launch it again when others of the account have ended, ask for less, or have the administrator ask AWS for a"
    " higher quota (Service Quotas)."
)
_HINTS = (
    (EXPIRED, "The administrator renews the credentials; those of a role are renewed by themselves."),
    (UNKNOWN_CREDENTIALS, _HOW_TO_LOG_IN),
    (FORBIDDEN, "The administrator gives the agent's user or role this right in IAM."),
    (QUOTAS, _HOW_TO_GET_MORE),
)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Translate what the SDK raises while the block is ``doing`` something: ``"asking SageMaker for a job"``.

    Raises:
        AwsRefused: AWS said no, or would have.
        CloudUnavailable: AWS gave no answer, or one about itself.
    """
    try:
        yield
    except exceptions.ClientError as error:
        raise _from_answer(error, doing) from error
    except (exceptions.ParamValidationError, exceptions.UnknownKeyError) as error:
        raise AwsRefused(f"AWS would refuse {doing}: {_in_a_line(error)}.", PARAMETER_VALIDATION) from error
    except _NO_CREDENTIALS as error:
        raise AwsRefused(
            f"This host has no credentials for AWS, to be used for {doing}: {_in_a_line(error)}.",
            NO_CREDENTIALS,
            _HOW_TO_LOG_IN,
        ) from error
    except exceptions.CredentialRetrievalError as error:
        # A program or a service on this host, which may well give some later.
        raise CloudUnavailable(
            f"This host could not get its credentials for AWS, to be used for {doing}: {_in_a_line(error)}.",
            hint=_HOW_TO_LOG_IN,
        ) from error
    except exceptions.NoRegionError as error:
        raise AwsRefused(
            f"This host does not know in which region of AWS {doing} is to be done.",
            "NoRegion",
            "The administrator sets environment.region, or AWS_REGION.",
        ) from error
    except (exceptions.BotoCoreError, ResponseParserError) as error:
        raise CloudUnavailable(f"AWS gave no answer to {doing}: {_in_a_line(error)}.") from error
    except OSError as error:
        # The SDK opens files with tokens, and starts programs that give some, as it comes to them.
        what = f"{error.filename}: {error.strerror}" if error.filename else _in_a_line(error)
        raise AwsRefused(
            f"This host cannot read what it needs for {doing} at AWS: {what}.", NO_CREDENTIALS, _HOW_TO_LOG_IN
        ) from error


_NO_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.ProfileNotFound,
    exceptions.ConfigParseError,
    exceptions.ConfigNotFound,
    exceptions.InvalidConfigError,
    exceptions.UnauthorizedSSOTokenError,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
    exceptions.RefreshWithMFAUnsupportedError,
)


def _from_answer(error: exceptions.ClientError, doing: str) -> Exception:
    told = error.response.get("Error", {})
    code = str(told.get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = f"{_in_a_line(told.get('Message') or '')} ({code})".strip()
    if code in THROTTLED or status == _TOO_MANY:
        return AwsThrottled(f"AWS takes no more requests for now, and did not answer to {doing}: {said}.")
    if status == 0 or status >= _BROKEN:
        return CloudUnavailable(f"AWS could not answer to {doing}: {said}.")
    hint = next((text for codes, text in _HINTS if code in codes), None)
    return AwsRefused(f"AWS refused {doing}: {said}.", code, hint)


def _in_a_line(text: object) -> str:
    return " ".join(str(text).split()).rstrip(".")[:_LONGEST]
