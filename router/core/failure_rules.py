"""The rules that name a failure's class: the first row that fits decides, the status alone only at the end.

Rows are written from how providers word things, not from samples: a row names a set of codes, or a wording, that
means the same wherever it stands. Order matters where wordings overlap: what the model did wrong, money, length and
content come before access, names of models before keys, the particular before "not supported", and that before
"invalid".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from router.core.failure import FailureClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What rules may look at."""

    provider: str
    status: int | None
    codes: frozenset[str]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row: it fits when the status and provider are among its own, and a code or the wording is too.

    Attributes:
        name: what the row recognises.
        kind: the class it names.
        statuses: statuses it is limited to; empty is any.
        codes: codes, types and reasons in lower case, any of which suffices.
        words: a wording that suffices as well.
        unless: a wording that keeps the row from fitting.
        providers: providers it is limited to; empty is any.
    """

    name: str
    kind: FailureClass
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None
    providers: frozenset[str] = frozenset()

    def fits(self, signs: Signs) -> bool:
        """Returns whether the row fits."""
        if self.statuses and signs.status not in self.statuses:
            return False
        if self.providers and signs.provider not in self.providers:
            return False
        if self.unless is not None and self.unless.search(signs.words):
            return False
        if not self.codes and self.words is None:
            return True
        if not self.codes.isdisjoint(signs.codes):
            return True
        return self.words is not None and self.words.search(signs.words) is not None


def kind_of(signs: Signs) -> FailureClass:
    """Returns the class of the first row that fits."""
    return next(rule.kind for rule in RULES if rule.fits(signs))


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


def _codes(names: str) -> frozenset[str]:
    return frozenset(names.lower().split())


_ANY_MODEL = r"(?:model|deployment|engine|inference profile|endpoint)"

RULES: Final[tuple[Rule, ...]] = (
    # --- What the model did wrong: the request was fine, the tokens were spent. -----------------------------------
    Rule(
        name="the model wrote a broken tool call or broken JSON",
        kind="unusable",
        codes=_codes(
            "tool_use_failed json_validate_failed output_parse_failed malformed_function_call unexpected_tool_call "
            "malformed_response no_image malformed_tool_call"
        ),
        words=_words(
            r"failed to (?:call a function|generate (?:tool_calls|json|valid)|parse tool[ _]calls?)",
            r"tool call validation failed",
            r"error parsing tool call",
            r"did not call a tool|hallucinated",
            r"model (?:produced|generated|output) (?:an? )?(?:invalid|malformed|unparsable)",
            r"tried to call an undeclared function",
            r"model output (?:error|must contain)|no valid (?:response|output|completion) (?:was )?generated",
        ),
    ),
    Rule(
        name="an answer that ended with nothing, reported as an error",
        kind="unusable",
        statuses=frozenset({200, 400}),
        words=_words(r"^(?:token|length|output) limit reached|(?:max|maximum) (?:output |completion )?tokens? (?:was )?reached|empty (?:response|completion|answer|output)|could not finish the message|model output limit was reached"),
    ),
    # --- Money. ---------------------------------------------------------------------------------------------------
    Rule(
        name="a free tier without this model: Google's quota of zero",
        kind="unsupported",
        statuses=frozenset({429}),
        words=_words(r"\blimit:? 0\b"),
    ),
    Rule(
        name="a limit by the minute or second, though it is called a quota",
        kind="refused",
        statuses=frozenset({429}),
        codes=_codes("throttling.allocationquota throttling.ratequota throttling.burstrate"),
        words=_words(
            r"requests? per (?:second|minute)",
            r"\ballocated quota exceeded, please increase",
            r"hour allocated quota exceeded",
        ),
        unless=_words(r"free (?:allocated )?(?:quota|tier)", r"request too large", r"per[ _-]?day"),
    ),
    Rule(
        name="credit, balance or allowance is gone",
        kind="out_of_quota",
        codes=_codes(
            "insufficient_quota billing_hard_limit_reached billing_not_active billing_error insufficient_balance "
            "insufficient_credits credits_exhausted payment_required payment_required_error arrearage "
            "allocationquota.freetieronly spend_limit_reached quota_exceeded_error credit_limit "
            "exceeded_current_quota_error"
        ),
        words=_words(
            r"credit balance",
            r"(?:insufficient|not enough|no|low|exceeded your|out of|add(?:itional)?|buy|purchase|more) (?:\w+ ){0,3}?(?:balance|credits?|funds)\b",
            r"\bcredits? (?:\w+ ){0,3}?(?:exhausted|depleted|used up|ran out)",
            r"(?:used|exhausted|exceeded|consumed) (?:all|your) (?:\w+ ){0,4}?(?:credits|spending limit|budget)",
            r"(?:spend(?:ing)?|budget|usage|billing|hard) (?:hard )?(?:limit|cap) (?:\w+ ){0,3}?(?:reached|exceeded)",
            r"(?:reached|exceeded|hit) (?:\w+ ){0,4}?(?:spend(?:ing)?|usage|budget|billing) (?:limit|cap)",
            r"requires more credits",
            r"\bper[ _-]?(?:day|month)\b|\((?:TPD|RPD)\)|perday|(?:daily|monthly|weekly) (?:\w+ ){0,3}?(?:limit|quota|allowance|credits)",
            r"free (?:allocated )?quota (?:\w+ ){0,3}?(?:exceeded|exhausted)|free tier of the model has been exhausted",
            r"account is not active|account (?:\w+ ){0,2}?(?:in arrears|overdue|good standing)|\barrears\b|payment (?:is )?required",
            r"(?:no|valid|missing|default) payment method|payment method (?:is |was )?(?:required|declined|missing)|unpaid|\bpast due\b",
        ),
        unless=_words(r"invalid (?:api )?key"),
    ),
    Rule(
        name="the plan's quota, at hosts that do not use the words for a limit by the minute",
        kind="out_of_quota",
        words=_words(r"check your plan and billing"),
        unless=_words(r"per[ _-]?minute", r"retry in", r"rate[ -]limits?"),
    ),
    Rule(name="payment required", kind="out_of_quota", statuses=frozenset({402})),
    # --- Length. --------------------------------------------------------------------------------------------------
    Rule(
        name="the request does not fit this model or this account's minute",
        kind="too_long",
        codes=_codes(
            "context_length_exceeded request_too_large exceed_context_size_error context_window_exceeded "
            "model_context_window_exceeded string_above_max_length tokens_limit_reached max_tokens_exceeded"
        ),
        words=_words(
            r"context[ _](?:length|window|size|limit)(?! (?:must|should|is required|parameter))",
            r"(?:prompt|input|request|message|payload|content|conversation|body)s? (?:\w+ ){0,2}?(?:is|are|was|were)? ?too (?:long|large|big)\b",
            r"(?:prompt|context|input) (?:token )?(?:count|length|size)s? (?:\w+ ){0,4}?(?:exceed|is greater|is larger|too)",
            r"maximum (?:allowed )?(?:prompt|input|context|sequence)(?: token)? (?:length|size|count)",
            r"exceed(?:s|ed|ing)? (?:the |this |your |its )?(?:model'?s? )?(?:maximum|max|limit|allowed|available)[\w ]* (?:number of )?(?:input |prompt |context )?tokens",
            r"exceed(?:s|ed)? (?:the )?max[_ ]?(?:seq|model|context|input|position)",
            r"exceeded model token limit|token limit exceeded|exceed(?:s|ed)? (?:the )?(?:\w+ )?token limit",
            r"exceeds the limit of \d+(?! (?:images|tools|stop))",
            r"\binput tokens? (?:\w+ )?exceed|size limit exceeded by \d+ tokens",
            r"too many (?:input |prompt |total )?tokens(?!,? please wait)",
            r"reduce (?:the |your )?(?:length of |size of )?(?:the |your )?(?:message|prompt|input|context)",
            r"tokens.{0,3}\+.{0,3}max_(?:new_)?tokens.{0,3} (?:must be|exceed)",
            r"inputs?.{0,3} (?:must have less than|tokens must be)",
            r"range of input length should be",
            r"request too large for|request (?:payload |body )?(?:size )?(?:exceeds|is over) the (?:maximum|limit)",
            r"total number of tokens .{0,40}(?:exceed|cannot)",
            r"greater than the context|larger than the (?:maximum )?context",
            r"input .{0,20}longer than|sequence length .{0,60}(?:longer|exceed)",
        ),
        unless=_words(r"rate limit for your organization", r"rate limit (?:reached|exceeded)", r"max_tokens.{0,40}(?:must be|less than or equal)", r"downloading|image (?:is )?too large|image exceeds"),
    ),
    Rule(name="payload too large", kind="too_long", statuses=frozenset({413})),
    # --- Content. -------------------------------------------------------------------------------------------------
    Rule(
        name="input or output was blocked",
        kind="filtered",
        codes=_codes(
            "content_filter content_filtered content_policy_violation responsibleaipolicyviolation data_inspection_failed "
            "datainspectionfailed prohibited_content safety blocklist recitation spii model_armor image_safety "
            "image_prohibited_content invalid_prompt cyber_policy content_blocked moderation_blocked safety_error "
            "content_moderation sensitive language guardrail_intervened refusal"
        ),
        words=_words(
            r"content (?:management|moderation|filter(?:ing)?|safety|usage) (?:policy|system|polic)",
            r"blocked by (?:\w+ ){0,3}?(?:filter|policy|policies|guardrail|safety|moderation)",
            r"(?:prompt|input|output|request|response|content) (?:\w+ ){0,4}?(?:was|were|is|has been|been|are) (?:\w+ )?(?:blocked|flagged|filtered)",
            r"violat(?:e|es|ed|ing|ion) (?:\w+ ){0,4}?(?:polic|safety|terms|guidelines|filters)",
            r"(?:input|output|text|image|content) (?:data )?may contain (?:inappropriate|sensitive|unsafe)",
            r"safety (?:system|settings|filters?|check)|requires moderation|guardrail (?:blocked|intervened)|inappropriate content|exploitation or abuse",
            r"\bcsam\b|cyber(?:security)? (?:risk|abuse)",
        ),
    ),
    # --- Which model. ---------------------------------------------------------------------------------------------
    Rule(
        name="a feature no endpoint of this model has, though worded as a missing model",
        kind="unsupported",
        words=_words(
            r"no endpoints? found that (?:support|can handle)",
            r"no (?:endpoints|providers?) .{0,40}(?:support|match) (?:the |your |all )",
            r"multimodal is not enabled",
        ),
    ),
    Rule(
        name="unknown, retired, or not for this account or region",
        kind="no_such_model",
        codes=_codes(
            "model_not_found modelnotfound model_not_exist invalid_model unknown_model deploymentnotfound "
            "model_not_available model_not_supported model_decommissioned model_deprecated model_not_ready_for_account "
            "model_terms_required model_permission_blocked_org model_permission_blocked_project "
            "unsupported_country_region_territory ftuformnotfilled model_access_denied model.accessdenied "
            "invalid_deployment model_blocked"
        ),
        words=_words(
            rf"\b{_ANY_MODEL}s?\b.{{0,120}}?(?:does(?: not|n't) exist|not exist|not found|was not found|no longer (?:available|supported)|decommissioned|deprecated|removed|retired|end of life|sunset)",
            rf"(?:unknown|invalid|unrecognized|unexpected|no such|could not find(?: the)?|cannot find(?: the)?|unable to find(?: the)?|can't find(?: the)?|unsupported) (?:\w+ )?{_ANY_MODEL}(?: (?:id|name|identifier|specified|name format|path))?\b(?! (?:parameter|input|output|type))",
            r"\bis not a valid model|model names are|permitted models|available models|not a (?:valid|known) model|model (?:identifier|id|name) (?:\S+ )?(?:is|was) (?:invalid|not)|no endpoints found for|not a chat model|not supported model|^model \S+ is not supported",
            rf"\b{_ANY_MODEL}\b.{{0,80}}?(?:is not|isn't|are not|not) (?:currently )?(?:available|accessible|supported by any provider|served|deployed|loaded|allowed)",
            rf"(?:not|n't|no) (?:\w+ )?(?:have )?(?:access|entitled|permission)(?: to| for| on)? (?:use )?(?:\w+ ){{0,3}}?{_ANY_MODEL}",
            r"not (?:allowed|authorized|permitted) to (?:access|use|sample from|invoke) (?:this|the|that) model",
            r"access to (?:the )?model .{0,60}(?:denied|not)|model access is denied|model use case details|requires terms acceptance|non-serverless model|dedicated endpoint",
            r"on-demand throughput|marketplace subscription|must be verified to use",
            r"(?:country|region|territory|location) .{0,40}?not (?:supported|available)|not (?:available|supported) in (?:your|this|the) (?:country|region|location)",
            r"(?:not supported|supported) by any provider|models?/\S+ is not found|^model: \S+|not found for API version|only supported in v1/|not a supported model",
        ),
        unless=_words(
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
        words=_words(
            r"(?:does not|doesn't) support (?:the )?(?:chat|completions?|generatecontent|converse|messages api|responses|this (?:endpoint|api|operation))\b",
            r"not (?:supported|available) (?:in|for|on|with|by) (?:the |this )?(?:\S+ )?(?:chat|completions?|generatecontent|responses|endpoint)\b",
        ),
        unless=_words(r"\bparameter\b"),
    ),
    # --- Whose key. -----------------------------------------------------------------------------------------------
    Rule(
        name="the key, or what it may do",
        kind="denied",
        codes=_codes(
            "invalid_api_key wrong_api_key invalid_key authentication_error api_key_invalid unauthenticated unauthorized "
            "permission_denied permission_error invalidapikey accessdeniedexception unrecognizedclientexception "
            "invalidsignatureexception expiredtokenexception missingauthenticationtokenexception incompletesignature "
            "invalidclienttokenid account_deactivated invalid_organization invalid_authentication_error access_denied "
            "accessdenied consumer_invalid consumer_suspended service_disabled key_expired missing_api_key no_api_key"
        ),
        words=_words(
            r"\bapi[ _-]?key\b.{0,60}?(?:invalid|incorrect|missing|expired|not valid|not found|not provided|required|revoked|disabled|leaked)",
            r"(?:invalid|incorrect|missing|bad|expired|no|wrong|valid|unknown|provide an?|didn't provide an?|check your) (?:\S+ )?(?:x-)?(?:api[ _-]?(?:key|token)|access token|auth\w* (?:token|header|credentials?))",
            r"unauthorized|unauthenticated|not authenticated|authentication (?:failed|error|required|fails)|could not authenticate|authorization (?:required|failed)",
            r"security token|signature (?:we calculated|does not match|expired)|credential(?:s)? (?:was|were|is|are|not)|invalid (?:username|credentials?|token\b(?! (?:in|id|at|count)))",
            r"not authorized|no auth credentials|user not found|(?:organization|account) (?:has been |is )?(?:disabled|deactivated|suspended|blocked)",
        ),
        unless=_words(r"not supported (?:by|with|for) (?:this|the) model"),
    ),
    Rule(name="unauthorized", kind="denied", statuses=frozenset({401, 407})),
    # --- Rates and overload: before "not supported", which some name as what to upgrade to. ------------------------
    Rule(
        name="too fast, or too busy",
        kind="refused",
        codes=_codes(
            "overloaded_error overloaded rate_limit_error rate_limit_exceeded rate_limited rate_limit ratelimitexceeded "
            "throttlingexception throttling too_many_requests too_many_requests_error resource_exhausted unavailable "
            "serviceunavailableexception service_unavailable slow_down engine_overloaded engine_overloaded_error "
            "modelnotreadyexception capacity_exceeded service_tier_capacity_exceeded request_quota_exceeded "
            "token_quota_exceeded queue_exceeded server_overloaded nocapacity serviceunavailable insufficient_capacity"
        ),
        words=_words(
            r"rate[ -]?limit(?:ed|ing|s)?\b",
            r"too many (?:concurrent |requests)",
            r"\boverloaded\b|over(?:loaded| capacity)|at capacity|high (?:demand|load|traffic)|server (?:is )?busy|\bthrottl",
            r"loading model|model is (?:currently )?(?:loading|starting|warming)|(?:is|being) (?:cold )?start(?:ing|ed) up",
            r"(?:service|server|temporarily|upstream) (?:is )?(?:temporarily |currently )?(?:unavailable|over capacity)|no (?:healthy|available) (?:upstream|channel|instances?|workers?|server)",
        ),
        unless=_words(r"unsupported (?:parameter|value)", r"not supported (?:by|with|for) (?:this|the)"),
    ),
    Rule(name="too many requests, or unavailable", kind="refused", statuses=frozenset({409, 425, 429, 503, 529})),
    Rule(
        name="the provider could not fetch what a public address serves",
        kind="server_error",
        words=_words(r"(?:download|fetch)\w*\b.{0,40}timed? ?out"),
    ),
    # --- What this model cannot, though another may. ---------------------------------------------------------------
    Rule(
        name="a malformed schema wrapper, whose complaint names fields as not permitted",
        kind="invalid",
        words=_words(
            r"invalid json_?schema format",
            r"schema_? is required|json[_ ]schema is required|missing field .?(?:json_)?schema",
            r"response_format\.json_schema\.(?:schema|name)",
        ),
        unless=_words(r"not support|unsupported"),
    ),
    Rule(
        name="a parameter, a value of it, a kind of input or a combination that this model lacks",
        kind="unsupported",
        codes=_codes(
            "unsupported_parameter unsupported_value unsupported_file unsupported_content_type unsupported_format "
            "multimodal_not_enabled wrong_api_format not_supported unsupported_feature unimplemented "
            "model_feature_not_supported unsupported_model_feature enum literal_error extra_forbidden"
        ),
        words=_words(
            r"\bnot (?:currently |yet |be )?support(?:ed|ing|s)?\b|n't (?:currently |yet )?support|\bunsupported\b(?! operand)|\bno support for\b",
            r"not (?:currently |yet )?(?:enabled|available|implemented|allowed|permitted|compatible|applicable|accepted)\b(?! (?:to|in your))",
            r"not allowed to (?:request|use|set|send|pass)\b",
            r"\bincompatible\b|cannot be (?:used|combined|set|specified|enabled|disabled) (?:with|together|when|for|at|on)|can't be used with|mutually exclusive",
            r"may (?:not be|only be) (?:enabled|set|used)|\bonly (?:be )?(?:support(?:s|ed)?|accept(?:s|ed)?|allow(?:s|ed)?|available|works?|one)\b|only the default|only \w+ ?= ?\S+ is",
            r"requires? (?:that |either |the )?(?:--|input content|audio|an image|vision|streaming|thinking|a vision)|must be (?:enabled|disabled|set to (?:true|false)) (?:for|to|when)",
            r"missing data required for|not (?:a )?(?:multimodal|vision)|(?:text|chat)[- ]only|multimodal|mmproj",
            r"type must be one of|unknown variant|supported (?:values|levels|types|formats|options|parameters) (?:are|is|include)|supported (?:values|levels|types|formats):|supports at most|accepts the following",
            r"extra inputs are not permitted|unrecognized (?:request )?(?:argument|parameter|field)|unknown (?:parameter|field|name|argument)|unexpected (?:keyword|parameter)|extra fields? not|property .{0,40}is not (?:allowed|supported)",
            r"(?:maximum|max) (?:allowed )?(?:number of )?(?:output|completion) tokens|max_(?:completion_|output_)?tokens.{0,60}(?:too large|exceed|less than or equal|maximum|at most)",
            r"\bcontent.{0,3} must be an? (?:plain )?string|expected tags|unexpected (?:item|content|part) type|unknown format|jinja|chat template|template error",
            r"(?:load|decode|process) (?:the )?(?:image|audio|video)|unsupported image|invalid json schema|^input validation error$|models? requires? at least one of",
            r"content (?:blocks?|parts?|types?)\b.{0,40}(?:expected|must) (?:to )?be|expected to be either",
            r"too many (?:images|tools|functions|stop|states)|too (?:many|deep|complex|large) .{0,30}schema|schema .{0,60}too (?:many|deep|complex|large)|invalid schema for|compil\w+ (?:the )?grammar|grammar",
        ),
        unless=_words(r"\bunknown parameter: .messages\b", r"not available at (?:this|the) (?:time|moment)"),
    ),
    # --- The provider's own fault. ---------------------------------------------------------------------------------
    Rule(
        name="the provider gave up waiting",
        kind="timed_out",
        statuses=frozenset({408}),
    ),
    Rule(name="too much for the gateway, or the provider's fault", kind="server_error", statuses=frozenset(range(500, 600))),
    # --- What is wrong everywhere. ---------------------------------------------------------------------------------
    Rule(name="nothing at this address", kind="no_such_model", statuses=frozenset({404, 405, 410})),
    Rule(name="forbidden", kind="denied", statuses=frozenset({403})),
    Rule(
        name="malformed, whoever reads it",
        kind="invalid",
        statuses=frozenset({400, 422}),
        codes=_codes(
            "missing_required_parameter invalid_type invalid_base64 invalid_image_url invalid_image invalid_json "
            "json_invalid missing decimal_below_min_value decimal_above_max_value integer_below_min_value "
            "integer_above_max_value empty_array array_above_max_length invalid_function_parameters"
        ),
        words=_words(
            r"\bmissing\b|\brequired\b|is (?:empty|blank|null)|(?:not|n't|cannot) be (?:empty|blank|null|none)|at least one|non-empty|no messages|empty (?:messages|content|input|array|string)",
            r"must be (?:an?|of type|the|one of|either|in|between|greater|less|at|<|>|=|positive|non-negative|strictly|followed|preceded|valid|alphanumeric|unique)\b|should be (?:an?|a valid|greater|less|at)|must (?:have|contain|match|alternate|start|end|not)\b|expected (?:an?|one of|type|string|object|value)",
            r"(?:below|above|outside|out of|less than|greater than|exceeds?|beyond)(?: the)? (?:of )?(?:minimum|maximum|range|allowed range|bounds)|out of (?:range|bounds)|supported range|minimum value|maximum value|range of \w+ should",
            r"could not (?:parse|process|decode|load|download|fetch)|failed to (?:parse|decode|deserialize|download|fetch|load|read)|cannot (?:parse|decode)|unable to (?:parse|decode|process|download|fetch)|error while downloading|parse error|not (?:a )?valid (?:json|base64|url|image|uuid)|malformed|invalid (?:json|base64|url|image|role|type|character|escape|utf)|unterminated|trailing (?:comma|characters)",
            r"\bunknown parameter: .messages\b|(?:is|are|was) (?:not valid|invalid)\b|does not match|did not match|do not match|has no \w+|validation error|input validation|expected shape|not a valid",
            r"tool[_ ]call|tool_use|tool_result|function_call|tool output|tool message|\brole\b|\broles\b|messages?\b.{0,30}(?:order|sequence|alternat|prefill|last|first)|duplicate|without its required|previous_response|not found|does not exist|conversation",
        ),
    ),
    Rule(
        name="refused in words nobody knows: of these, most are a model's limits",
        kind="unsupported",
        statuses=frozenset({400, 415, 422, 501}),
    ),
    Rule(name="any other refusal of the request", kind="invalid", statuses=frozenset(range(400, 500))),
    Rule(name="an error without a reason: assume the worst", kind="server_error"),
)
