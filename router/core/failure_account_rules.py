"""Rules about the account: what it has paid for, which models and keys it has, how fast it may ask."""

from __future__ import annotations

from typing import Final

from router.core.failure_rule import Rule, codes, wording

_MODEL: Final = r"\b(?:model|deployment|engine|inference profile|endpoint)s?\b"
_GONE: Final = (
    r"(?:does not exist|doesn't exist|not exist|not found|no longer (?:available|supported)|decommissioned"
    r"|deprecated|removed|retired|end of life|sunset)"
)

MONEY: Final[tuple[Rule, ...]] = (
    Rule(
        name="a free tier without this model: Google's quota of zero",
        kind="unsupported",
        statuses=frozenset({429}),
        words=wording(r"\blimit:? 0\b"),
    ),
    Rule(
        # Alibaba gives such a limit the code that OpenAI gives to an empty account.
        name="a limit by the minute or second that is called a quota",
        kind="refused",
        statuses=frozenset({429}),
        codes=codes("Throttling.AllocationQuota Throttling.RateQuota Throttling.BurstRate"),
        words=wording(r"(?:requests?|tokens?) per (?:second|minute)", r"\ballocated quota exceeded, please increase"),
        unless=wording(r"free (?:allocated )?(?:quota|tier)", r"request too large", r"per[ _-]?day"),
    ),
    Rule(
        name="credit or balance is gone",
        kind="out_of_quota",
        codes=codes(
            "insufficient_quota billing_hard_limit_reached billing_not_active billing_error insufficient_balance "
            "insufficient_credits credits_exhausted payment_required payment_required_error Arrearage "
            "AllocationQuota.FreeTierOnly spend_limit_reached credit_limit exceeded_current_quota_error"
        ),
        words=wording(
            r"credit balance",
            r"\b(?:insufficient|not enough|no|low|exceeded your|out of|add|buy|purchase|more) (?:\w+ ){0,3}?"
            r"(?:balance|credits?|funds)\b",
            r"\bcredits? (?:\w+ ){0,3}?(?:exhausted|depleted|used up|ran out)",
            r"(?:used|exhausted|exceeded|consumed) (?:all|your) (?:\w+ ){0,4}?(?:credits|spending limit|budget)",
            r"spend(?:ing)? (?:limit|cap)",
            r"(?:budget|usage|billing|hard) (?:hard )?(?:limit|cap) (?:\w+ ){0,3}?(?:reached|exceeded)",
            r"(?:reached|exceeded|hit) (?:\w+ ){0,4}?(?:usage|budget|billing) (?:limit|cap)",
            r"free (?:allocated )?quota (?:\w+ ){0,3}?(?:exceeded|exhausted)",
            r"free tier of the model has been exhausted",
            r"account is not active",
            r"account (?:\w+ ){0,2}?(?:in arrears|overdue|good standing)",
            r"\barrears\b",
            r"payment (?:is )?required",
            r"(?:no|valid|missing|default) payment method",
            r"payment method (?:is |was )?(?:required|declined|missing)",
            r"\bpast due\b",
            r"余额不足|欠费",
        ),
    ),
    Rule(
        name="the allowance of the day, week or month is gone",
        kind="out_of_quota",
        statuses=frozenset({200, 402, 403, 429, 503}),
        words=wording(
            r"(?:\bper[ _-]?|/ ?)(?:day|week|month)\b",
            r"perday",
            r"\((?:TPD|RPD)\)",
            r"(?:daily|weekly|monthly) (?:\w+ ){0,3}?(?:limit|quota|allowance|credits)",
        ),
    ),
    Rule(
        # Google says the same of a limit by the minute, but tells which limit it is or when to come back.
        name="the plan's quota is gone",
        kind="out_of_quota",
        words=wording(r"check your plan and billing"),
        unless=wording(r"per[ _-]?minute", r"retry in", r"rate[ -]limits?"),
    ),
    Rule(name="payment required", kind="out_of_quota", statuses=frozenset({402})),
)

MODELS: Final[tuple[Rule, ...]] = (
    Rule(
        name="a feature that no endpoint of this model has, worded as a missing model",
        kind="unsupported",
        codes=codes("multimodal_not_enabled"),
        words=wording(
            r"no endpoints? found that (?:support|can handle)",
            r"no (?:endpoints|providers?) .{0,40}(?:support|match) (?:the |your |all )",
        ),
    ),
    Rule(
        name="unknown, retired, or not for this account or region",
        kind="no_such_model",
        codes=codes(
            "model_not_found ModelNotFound model_not_exist invalid_model unknown_model DeploymentNotFound "
            "model_not_available model_not_supported model_decommissioned model_deprecated model_terms_required "
            "model_permission_blocked_org model_permission_blocked_project model_access_denied Model.AccessDenied "
            "model_blocked invalid_deployment FTUFormNotFilled unsupported_country_region_territory"
        ),
        words=wording(
            rf"{_MODEL}.{{0,120}}?{_GONE}",
            r"(?:unknown|invalid|unrecognized|unexpected|unsupported|no such|(?:could not|cannot|can't|unable to) find"
            rf"(?: the)?) (?:\w+ )?{_MODEL}(?: (?:id|name|identifier|specified|name format|path)\b)?"
            r"(?! (?:parameter|input|output|type))",
            r"\bnot an? (?:valid|known|supported|chat) model",
            r"not supported model",
            r"^model \S+ is not supported",
            r"^model: \S+",
            r"model (?:identifier|id|name) (?:\S+ )?(?:is|was) (?:invalid|not)",
            r"(?:model names are|permitted models|available models)",
            rf"{_MODEL}.{{0,80}}?(?:is not|isn't|are not|not) (?:currently )?"
            r"(?:available|accessible|supported by any provider|served|deployed|loaded|allowed)",
            r"(?:not|n't|no) (?:\w+ )?(?:have )?(?:access|entitled|permission)(?: to| for| on)? (?:use )?"
            rf"(?:\w+ ){{0,3}}?{_MODEL}",
            r"not (?:allowed|authorized|permitted) to (?:access|use|sample from|invoke) (?:this|the|that) model",
            r"access to (?:the )?model .{0,60}(?:denied|not)",
            r"model access is denied",
            r"model use case details",
            r"requires terms acceptance",
            r"must be verified to use",
            r"non-serverless model",
            r"dedicated endpoint",
            r"on-demand throughput",
            r"marketplace subscription",
            r"no endpoints found for",
            r"supported by any provider",
            r"models?/\S+ is not found",
            r"模型不存在",
            r"not found for API version",
            r"only supported in v1/",
            r"(?:country|region|territory|location) .{0,40}?not (?:supported|available)",
            r"not (?:available|supported) in (?:your|this|the) (?:country|region|location)",
        ),
        unless=wording(
            r"\btools?\b.{0,20}(?:not found|does not exist)",
            r"\btool call",
            r"does not support",
            r"api key not found",
            r"is not allowed (?:when|with|for)",
            r"\bfile\b.{0,40}not found",
            r"\bparameter\b",
        ),
    ),
    Rule(
        name="a model of another kind: speech, embeddings, images",
        kind="no_such_model",
        words=wording(
            r"(?:does not|doesn't) support (?:the )?"
            r"(?:chat|completions?|generatecontent|converse|messages api|responses|this (?:endpoint|api|operation))\b",
            r"does not work with the specified model",
            r"not (?:supported|available) (?:in|for|on|with|by) (?:the |this )?(?:\S+ )?"
            r"(?:chat|completions?|generatecontent|responses|endpoint)\b",
        ),
        unless=wording(r"\bparameter\b"),
    ),
)

KEYS: Final[tuple[Rule, ...]] = (
    Rule(
        name="the key, or what it may do",
        kind="denied",
        codes=codes(
            "invalid_api_key wrong_api_key invalid_key missing_api_key no_api_key key_expired InvalidApiKey "
            "API_KEY_INVALID API_KEY_SERVICE_BLOCKED ACCESS_TOKEN_EXPIRED CONSUMER_INVALID CONSUMER_SUSPENDED "
            "SERVICE_DISABLED UNAUTHENTICATED PERMISSION_DENIED authentication_error invalid_authentication_error "
            "unauthorized forbidden permission_error access_denied AccessDenied account_deactivated "
            "invalid_organization "
            "AccessDeniedException UnrecognizedClientException InvalidSignatureException ExpiredTokenException "
            "MissingAuthenticationTokenException IncompleteSignature InvalidClientTokenId NotAuthorized RequestExpired"
        ),
        words=wording(
            r"\bapi[ _-]?key\b.{0,60}?"
            r"(?:invalid|incorrect|missing|expired|not (?:valid|found|provided)|required|revoked|disabled|leaked)",
            r"(?:invalid|incorrect|missing|bad|expired|no|wrong|valid|unknown|provide an?|check your) (?:\S+ )?(?:x-)?"
            r"(?:api[ _-]?(?:key|token)|access token|auth\w* (?:token|header|credentials?))",
            r"unauthorized",
            r"unauthenticated",
            r"not authenticated",
            r"could not authenticate",
            r"authentication (?:failed|fails|error|required)",
            r"authorization (?:failed|required)",
            r"not authorized",
            r"insufficient (?:permissions?|scopes?)",
            r"no auth credentials",
            r"security token",
            r"signature (?:we calculated|does not match|expired)",
            r"credentials? (?:was|were|is|are|not)\b",
            r"invalid (?:username|credentials?|token\b(?! (?:in|id|at|count)))",
            r"user not found",
            r"(?:organization|account) (?:has been |is )?(?:disabled|deactivated|suspended|blocked|restricted)",
        ),
        unless=wording(r"not supported (?:by|with|for) (?:this|the) model"),
    ),
    Rule(name="unauthorized", kind="denied", statuses=frozenset({401, 407})),
)

RATES: Final[tuple[Rule, ...]] = (
    Rule(
        name="too fast, or too busy",
        kind="refused",
        codes=codes(
            "overloaded_error overloaded server_overloaded engine_overloaded engine_overloaded_error slow_down "
            "rate_limit rate_limited rate_limit_error rate_limit_exceeded RateLimitExceeded too_many_requests "
            "too_many_requests_error request_quota_exceeded token_quota_exceeded queue_exceeded Throttling "
            "ThrottlingException RESOURCE_EXHAUSTED UNAVAILABLE service_unavailable ServiceUnavailable "
            "ServiceUnavailableException ModelNotReadyException capacity_exceeded service_tier_capacity_exceeded "
            "insufficient_capacity NoCapacity ServiceQuotaExceededException"
        ),
        words=wording(
            r"rate[ -]?limit(?:ed|ing|s)?\b",
            r"too many (?:concurrent |requests)",
            r"\boverloaded\b",
            r"(?:over|at) capacity",
            r"capacity exceeded",
            r"high (?:demand|load|traffic)",
            r"server (?:is )?busy",
            r"\bthrottl",
            r"速率限制|频率|并发|访问量过大",
            r"loading model",
            r"model is (?:currently )?(?:loading|starting|warming)",
            r"(?:is|being) (?:cold )?start(?:ing|ed) up",
            r"(?:service|server|temporarily|upstream) (?:is )?(?:temporarily |currently )?unavailable",
            r"no (?:healthy|available) (?:upstream|channel|instances?|workers?|server)",
        ),
        unless=wording(r"unsupported (?:parameter|value)", r"not supported (?:by|with|for) (?:this|the)"),
    ),
    Rule(name="too many requests, or unavailable", kind="refused", statuses=frozenset({409, 425, 429, 503, 529})),
)
