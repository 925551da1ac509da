"""Rules about the request and its answer: what the model wrote, length, content, what a model lacks, what is wrong."""

from __future__ import annotations

from typing import Final

from router.core.failure_rule import Rule, codes, wording

OUTPUT: Final[tuple[Rule, ...]] = (
    Rule(
        name="the model wrote a broken tool call or broken JSON",
        kind="unusable",
        codes=codes(
            "tool_use_failed json_validate_failed output_parse_failed malformed_function_call malformed_tool_call "
            "unexpected_tool_call malformed_response malformed_model_output no_image"
        ),
        words=wording(
            r"failed to (?:call a function|generate (?:tool_calls|json|valid)|parse tool[ _]calls?)",
            r"tool call validation failed",
            r"error parsing tool call",
            r"did not call a tool",
            r"\bhallucinated\b",
            r"tried to call an undeclared function",
            r"model (?:produced|generated|output) (?:an? )?(?:invalid|malformed|unparsable)",
            r"model output (?:error|must contain)",
            r"no valid (?:response|output|completion) (?:was )?generated",
        ),
    ),
    Rule(
        name="an answer that ended before it said anything, reported as an error",
        kind="unusable",
        statuses=frozenset({200, 400}),
        words=wording(
            r"^(?:token|length|output) limit reached",
            r"(?:max|maximum) (?:output |completion )?tokens? (?:was )?reached",
            r"model output limit was reached",
            r"could not finish the message",
            r"empty (?:response|completion|answer|output)",
        ),
    ),
)

LENGTH: Final[tuple[Rule, ...]] = (
    Rule(
        name="the request does not fit this model's window or this account's minute",
        kind="too_long",
        codes=codes(
            "context_length_exceeded context_window_exceeded model_context_window_exceeded exceed_context_size_error "
            "request_too_large tokens_limit_reached max_tokens_exceeded"
        ),
        words=wording(
            r"context[ _](?:length|window|size|limit)(?! (?:must|should|is required|parameter))",
            r"\b(?:prompt|input|request|message|payload|content|conversation|body)s? (?:\w+ ){0,2}?"
            r"(?:is |are |was |were )?too (?:long|large|big)\b",
            r"\b(?:prompt|context|input) (?:token )?(?:count|length|size)s? (?:\w+ ){0,4}?"
            r"(?:exceed|is greater|is larger)",
            r"\binput tokens? (?:\w+ )?exceed",
            r"maximum (?:allowed )?(?:prompt|input|context|sequence)(?: token)? (?:length|size|count)",
            r"exceed(?:s|ed|ing)? (?:the |this |your |its )?(?:model'?s? )?(?:maximum|max|limit|allowed|available)"
            r"[\w ]{0,60} (?:number of )?(?:input |prompt |context )?tokens",
            r"exceed(?:s|ed)? (?:the )?max[_ ]?(?:seq|model|context|input|position)",
            r"exceed(?:s|ed)? (?:the )?(?:\w+ )?token limit",
            r"token limit exceeded",
            r"exceeds the limit of \d+(?! (?:images|tools|stop))",
            r"size limit exceeded by \d+ tokens",
            # Bedrock throttles with "Too many tokens, please wait before trying again."
            r"too many (?:input |prompt |total )?tokens(?!,? please wait)",
            r"reduce (?:the |your )?(?:length of |size of )?(?:the |your )?(?:message|prompt|input|context)",
            r"tokens.{0,3}\+.{0,3}max_(?:new_)?tokens.{0,3} (?:must be|exceed)",
            r"inputs?.{0,3} (?:must have less than|tokens must be)",
            r"range of input length should be",
            r"request too large for",
            r"request (?:payload |body )?(?:size )?(?:exceeds|is over) the (?:maximum|limit)",
            r"total number of tokens .{0,40}(?:exceed|cannot)",
            r"(?:greater|larger) than the (?:maximum )?context",
            r"input .{0,20}longer than",
            r"sequence length .{0,60}(?:longer|exceed)",
            r"\b(?:messages|input)\b\S{0,40}: string too long",
            r"上下文长度|输入过长|超过最大长度",
        ),
        unless=wording(
            r"took too long",
            r"rate limit for your organization",
            r"rate limit (?:reached|exceeded)",
            r"max_tokens.{0,40}(?:must be|less than or equal)",
            r"downloading",
            r"image (?:is )?too large",
            r"image exceeds",
        ),
    ),
    Rule(name="payload too large", kind="too_long", statuses=frozenset({413})),
)

CONTENT: Final[tuple[Rule, ...]] = (
    Rule(
        name="input or output was blocked",
        kind="filtered",
        codes=codes(
            "content_filter content_filtered content_policy_violation ResponsibleAIPolicyViolation content_blocked "
            "content_moderation moderation_blocked data_inspection_failed DataInspectionFailed safety safety_error "
            "prohibited_content blocklist recitation spii model_armor image_safety image_prohibited_content "
            "invalid_prompt cyber_policy guardrail_intervened"
        ),
        words=wording(
            r"content (?:management|moderation|filter(?:ing)?|safety|usage) (?:policy|policies|system)",
            r"blocked by (?:\w+ ){0,3}?(?:filter|policy|policies|guardrail|safety|moderation)",
            r"\b(?:prompt|input|output|request|response|content) (?:\w+ ){0,4}?(?:was|were|is|are|been) (?:\w+ )?"
            r"(?:blocked|flagged|filtered)",
            r"violat(?:e|es|ed|ing|ion) (?:\w+ ){0,4}?(?:polic|safety|terms|guidelines|filters)",
            r"(?:input|output|text|image|content) (?:data )?may contain (?:inappropriate|sensitive|unsafe)",
            r"safety (?:system|settings|filters?|check)",
            r"requires moderation",
            r"guardrail (?:blocked|intervened)",
            r"(?:unsafe|sensitive|inappropriate|harmful)\b.{0,30}content",
            r"content exists risk",
            r"considered high risk",
            r"敏感内容|不安全",
            r"\bcsam\b",
            r"cyber(?:security)? (?:risk|abuse)",
        ),
    ),
)

ABILITY: Final[tuple[Rule, ...]] = (
    Rule(
        name="the provider could not fetch in time what a public address serves",
        kind="server_error",
        words=wording(r"(?:download|fetch)\w*\b.{0,40}timed? ?out"),
    ),
    Rule(
        # Such complaints list the fields of a schema as "not permitted", which the next row would take for a lack.
        name="a malformed schema wrapper",
        kind="invalid",
        words=wording(
            r"invalid json_?schema format",
            r"(?:schema_?|json[_ ]schema) is required",
            r"missing field .?(?:json_)?schema",
            r"response_format\.json_schema\.(?:schema|name)",
        ),
        unless=wording(r"not support", r"unsupported"),
    ),
    Rule(
        name="a parameter, a value of it, a kind of input, a form of schema or a combination that this model lacks",
        kind="unsupported",
        codes=codes(
            "unsupported_parameter unsupported_value unsupported_file unsupported_content_type unsupported_format "
            "unsupported_feature not_supported wrong_api_format UNIMPLEMENTED enum literal_error extra_forbidden"
        ),
        words=wording(
            r"\bnot (?:currently |yet |be )?support(?:ed|ing|s)?\b",
            r"n't (?:currently |yet )?support",
            r"\bunsupported\b(?! operand)",
            r"\bno support for\b",
            r"\bnot (?:currently |yet )?"
            r"(?:enabled|available|implemented|allowed|permitted|compatible|applicable|accepted)\b(?! (?:to|in your))",
            r"not allowed to (?:request|use|set|send|pass)\b",
            r"\bincompatible\b",
            r"cannot be (?:used|combined|set|specified|enabled|disabled) (?:with|together|when|for|at|on)",
            r"can't be used with",
            r"mutually exclusive",
            r"may (?:not be|only be) (?:enabled|set|used)",
            r"\bonly (?:be )?(?:support(?:s|ed)?|accept(?:s|ed)?|allow(?:s|ed)?|available|works?|one)\b",
            r"only the default",
            r"only \w+ ?= ?\S+ is",
            r"requires? (?:that |either |the )?(?:--|input content|audio|an image|a vision|vision|streaming|thinking)",
            r"models? requires? at least one of",
            r"must be (?:enabled|disabled|set to (?:true|false)) (?:for|to|when)",
            r"missing data required for",
            r"not (?:a )?(?:multimodal|vision)",
            r"(?:text|chat)[- ]only",
            r"multimodal|mmproj",
            r"type must be one of",
            r"unknown variant",
            r"supported (?:values|levels|types|formats|options|parameters)(?: are| is| include|:)",
            r"supports at most",
            r"accepts the following",
            r"extra (?:inputs|fields?) (?:are |is )?not",
            r"unrecognized (?:request )?(?:argument|parameter|field)",
            r"unknown (?:parameter|field|name|argument)(?!: .messages\b)",
            r"unexpected (?:keyword|parameter)",
            r"property .{0,40}is not (?:allowed|supported)",
            r"(?:maximum|max) (?:allowed )?(?:number of )?(?:output|completion) tokens",
            r"max_(?:completion_|output_)?tokens.{0,60}(?:too large|exceed|less than or equal|maximum|at most)",
            r"\bcontent.{0,3} must be an? (?:plain )?string",
            r"content (?:blocks?|parts?|types?)\b.{0,40}(?:expected|must) (?:to )?be",
            r"expected (?:to be either|tags)",
            r"unexpected (?:item|content|part) type",
            r"unknown format",
            r"jinja|(?:chat )?template error|chat template",
            r"(?:load|decode|process) (?:the )?(?:image|audio|video)",
            r"too many (?:images|tools|functions|stop|states)",
            r"too (?:many|deep|complex|large) .{0,30}schema",
            r"schema .{0,60}too (?:many|deep|complex|large)",
            r"invalid (?:json )?schema(?: for)?\b",
            r"\bgrammar\b",
            r"^input validation error$",
        ),
        unless=wording(r"not available at (?:this|the) (?:time|moment)", r"unknown parameter: .messages\b"),
    ),
)

FORM: Final[tuple[Rule, ...]] = (
    Rule(
        name="malformed, whoever reads it",
        kind="invalid",
        statuses=frozenset({400, 422}),
        codes=codes(
            "missing_required_parameter missing invalid_type invalid_json json_invalid invalid_base64 invalid_image "
            "invalid_image_url invalid_function_parameters decimal_below_min_value decimal_above_max_value "
            "integer_below_min_value integer_above_max_value empty_array array_above_max_length "
            "string_above_max_length"
        ),
        words=wording(
            r"\b(?:missing|required)\b",
            r"is (?:empty|blank|null)\b",
            r"(?:not|n't|cannot) be (?:empty|blank|null|none)",
            r"at least one",
            r"non-empty",
            r"no messages",
            r"empty (?:messages|content|input|array|string)",
            r"must be (?:an?|of type|the|one of|either|in|between|greater|less|at|<|>|=|positive|non-negative|strictly"
            r"|followed|preceded|valid|alphanumeric|unique)(?!\w)",
            r"must (?:have|contain|match|alternate|start|end|not)\b",
            r"should be (?:an?|greater|less|at)\b",
            r"expected (?:an?|one of|type|string|object|value)\b",
            r"(?:below|above|outside|out of|less than|greater than|exceeds?|beyond)(?: the)? (?:of )?"
            r"(?:minimum|maximum|range|allowed range|bounds)",
            r"(?:minimum|maximum) value",
            r"supported range",
            r"range of \w+ should",
            r"(?:could not|cannot|unable to|failed to) (?:parse|process|decode|deserialize|load|read|download|fetch)",
            r"error while downloading",
            r"parse error",
            r"(?:is|are|was) (?:not valid|invalid)\b",
            r"not (?:a )?valid\b",
            r"malformed",
            r"invalid (?:json|base64|url|image|role|type|character|escape|utf)",
            r"unterminated|trailing (?:comma|characters)",
            r"(?:does|did|do) not match",
            r"has no \w+",
            r"validation error",
            r"expected shape",
            r"tool[_ ]call|tool_use|tool_result|tool output|tool message|function[ _](?:call|response)",
            r"is not specified",
            r"cannot be modified|must remain as",
            r"参数(?:非法|错误)",
            r"\broles?\b",
            r"messages?\b.{0,30}(?:order|sequence|alternat|prefill|last|first)",
            r"\bduplicate",
            r"without its required",
            r"not found|does not exist",
            r"unknown parameter: .messages\b",
        ),
    ),
    Rule(
        # Of the recorded 400s that nothing above explains, most were taken by another model; and to stop a request
        # that another model would have served costs the caller an answer, while one more refusal costs nothing.
        name="refused in words that nobody knows",
        kind="unsupported",
        statuses=frozenset({400, 415, 422, 501}),
    ),
)
