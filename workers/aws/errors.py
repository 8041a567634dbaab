"""What AWS may say to a request, as errors: told apart by its own codes, never by text."""

from workers.environments import CloudRefused, CloudUnavailable

#: Codes for requests that came too fast.
THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "LimitExceededException",
        "SlowDown",
        "PriorRequestNotComplete",
        "BandwidthLimitExceeded",
    }
)
#: Codes for credentials that were good once.
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
#: Codes for credentials that AWS does not know.
UNKNOWN_CREDENTIALS = frozenset(
    {
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "AuthFailure",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "InvalidIdentityToken",
    }
)
#: Codes for a right that is lacking.
FORBIDDEN = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})

#: Codes for more than the account may have at a time.
QUOTAS = frozenset({"ResourceLimitExceeded", "ServiceQuotaExceededException"})
#: The SDK's code for a request that it does not send.
PARAMETER_VALIDATION = "ParamValidation"
#: This package's code where there are no credentials to send.
NO_CREDENTIALS = "NoCredentials"


class AwsRefused(CloudRefused):
    """AWS refused a request; ``code`` is its own word for the reason."""

    def __init__(self, message: str, code: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code

    @property
    def is_about_credentials(self) -> bool:
        """Whether other credentials might be accepted, or the same ones later."""
        return self.code in EXPIRED | UNKNOWN_CREDENTIALS | FORBIDDEN | {NO_CREDENTIALS}


class AwsThrottled(CloudUnavailable):
    """AWS took no more requests for now, and did nothing."""
