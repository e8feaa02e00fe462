"""Each single mistake in a spec is told in one line: file, line, what is wrong, and the fix or the name meant."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

import pytest

from mockserver.spec.check import check_files
from mockserver.spec.vocabulary import specs_directory

if TYPE_CHECKING:
    from pathlib import Path

EVOLINK = (specs_directory() / "evolink-gemini-omni-flash.yaml").read_text(encoding="utf-8").partition("\nx-rules:")[0]

#: What is written, what is written instead, what is said, and what stands on that line where it is another one.
MISTAKES = [
    ("  lifecycle:\n", "  lifecycel:\n", "unknown key: lifecycel (did you mean lifecycle?)", ""),
    (
        "    default_plan: default\n",
        "    defaultplan: default\n",
        "unknown key: defaultplan (did you mean default_plan?)",
        "",
    ),
    ("        role: query\n", "        rolle: query\n", "unknown key: rolle (did you mean role?)", ""),
    ("{from: 2, to: 6,", "{last_s: {from: 2, to: 6},", "unknown key: last_s (did you mean lasts_s?)", ""),
    ("{from: 2, to: 6,", "{lasts_s: {from: 2, until: 6},", "unknown key: until (known: to)", ""),
    ("{from: 2, to: 6,", "{form: 2, to: 6,", "unknown key: form (did you mean from?)", ""),
    ("{from: 2, to: 6,", "{from: 2,", "missing required key `to` (specs/x-mock.schema.j", ""),
    ("{from: 2, to: 6,", "{from: 7, to: 6,", "`from` is greater than `to` (swap them)", ""),
    ("{from: 2, to: 6,", "{from: 2, to: 6, lasts_s: 4,", "stands beside `from` and `to` (keep one of the two)", ""),
    ("{from: 2, to: 6, source: inferred}", "soon", '"soon" is not of type "number" (write a value of type n', ""),
    ("progress: [1, 99]", "progress: [1]", "[1] has less than 2 items (specs/x-mock.schema.json says", ""),
    ("progress: [1, 99]", "progress: [99, 1]", "progress must not decrease (`from` must be at least the `to`", ""),
    (
        "completed: {kind: success, progress: 100, source",
        "completed: succes\n      # {source",
        "(did you mean success?)",
        "",
    ),
    ("    refuses: '", "    refuse: '", "unknown key: refuse (did you mean refuses?)", ""),
    (
        "{by: '$input#/aspect_ratio', values",
        "{by: '$input#/aspect_ratio', value",
        "unknown key: value (did you mean values?)",
        "",
    ),
    (
        "      operationId: getTask\n      summary",
        "      operationID: getTask\n      summary",
        "unknown key: operationID (did you mean operationId?)",
        "",
    ),
    (
        "          required: true\n          description: The task id",
        "          requird: true\n          description: The task id",
        "unknown key: requird (did you mean required?)",
        "",
    ),
    (
        "components:\n  securitySchemes",
        "component:\n  securitySchemes",
        "unknown key: component (did you mean components?)",
        "",
    ),
    ("  securitySchemes:\n", "  securitySchema:\n", "unknown key: securitySchema (did you mean securitySchemes?)", ""),
    ("paths:\n", "path:\n", "unknown key: path (did you mean paths?)", ""),
    (
        "          minLength: 1\n",
        "          minLenght: 1\n",
        "unknown key of a schema: minLenght (did you mean minLength?)",
        "",
    ),
    (
        "{type: integer, minimum: 3, maximum: 10}",
        "{type: interger, minimum: 3, maximum: 10}",
        "(did you mean integer?)",
        "",
    ),
    (
        "  /v1/tasks/{task_id}:\n    get:\n",
        "  /v1/tasks/{task_id}:\n    gett:\n",
        "unknown key: gett (did you mean get?)",
        "",
    ),
    (
        "        '404': {$ref: '#/components/responses/NotFound'}\n        '408'",
        "        '404': {$ref: '#/components/response/NotFound'}\n        '408'",
        "'#/components/response/NotFound' does not exist (a",
        "",
    ),
    ("model: $request.body#/model", "model: $request.body#/modle", "(did you mean model?)", ""),
    ("model: $request.body#/model", "model: $request.boddy#/model", "(did you mean body?)", ""),
    ("task: $request.path.task_id", "task: $request.path.taskid", "(did you mean task_id?)", ""),
    ("url: $request.body#/callback_url", "url: $request.body#/callbackurl", "(did you mean callback_url?)", ""),
    ("texts: ['$request.body#/prompt']", "texts: ['$request.body#/promt']", "(did you mean prompt?)", ""),
    (
        "progress: $task.progress\n",
        "progress: $task.progres\n",
        "$task.progres: $task has no 'progres' (did you mean progress?)",
        "",
    ),
    ("values: {auto: $draw.auto_ratio}", "values: {auto: $draw.autoratio}", "(did you mean auto_ratio?)", ""),
    ("completed: $reply.getTask\n", "completed: $reply.getTasks\n", "(did you mean getTask?)", ""),
    ("message: '{$problem.message}'", "message: '{$problem.mesage}'", "(did you mean message?)", ""),
    (
        "message: '{$problem.message}'",
        "message: '{$problem.message'",
        "{$ is sent as it stands (write {$…}, with both bra",
        "",
    ),
    (
        "      completed: $reply.getTask\n",
        "      complete: $reply.getTask\n",
        "is not a state of the lifecycle (did you mean completed?)",
        "",
    ),
    (
        "            completed:\n              results",
        "            complete:\n              results",
        "is not a state of the lifecycle (did you mean completed?)",
        "",
    ),
    ("kind: failure\n", "kind: failed\n", "(did you mean failure?)", ""),
    ("progress: last\n", "progress: lst\n", '"last" was expected (did you mean last?)', ""),
    (
        "progress: [1, 99]",
        "progress: [1, 990]",
        "990 is greater than the maximum of 100 (write at most 100)",
        "",
    ),
    (
        "    reason: content_policy_violation\n",
        "    reason: content_policy_violations\n",
        "(did you mean content_policy_violation?)",
        "",
    ),
    ("role: query\n", "role: querry\n", "there is no role 'querry' (did you mean query?)", ""),
    ("role: submit\n", "role: query\n", "(did you mean submit or estimate?)", ""),
    ("role: balance\n", "role: cancel\n", "missing required key `task` (specs/x-mock.schema.j", "x-mock:"),
    (
        "unauthenticated: {status: 401",
        "unauthenticated: {status: '401'",
        '"401" is not of type "integer" (write a value of type integer)',
        "",
    ),
    ("        '402': {$ref", "        '4O2': {$ref", "unknown key: 4O2 (write a status such as '200', or default)", ""),
    (
        "    acknowledged_by: 2xx",
        "    acknowledged_by: [2000]",
        "2000 is greater than the maximum of 299 (write at most 299)",
        "",
    ),
    (
        "          status: 404\n          content_type",
        "          status: 40\n          content_type",
        "40 is less than the minimum of 400 (write at least 400)",
        "",
    ),
    ("    timeout_s: 10\n", "    timeout_s: ten\n", '"ten" is not of type "number" (write a value of type number)', ""),
    ("    timeout_s: 10\n", "    timeout_s: -1\n", "-1 is less than or equal to the minimum of 0 (writ", ""),
    (
        "retry_after_s: [1, 2, 4]",
        "retry_after_s: [1, two, 4]",
        '"two" is not of type "number" (write a value of type number)',
        "",
    ),
    ("media: video/mp4", "media: video/mp5", "(did you mean video/mp4?)", ""),
    ("short_side_px: 720", "short_side_px: 720p", "'720p' is no expression (write a number, or $ and a name)", ""),
    ("lifetime_s: 86400", "lifetime_s: 0", "0 is less than the minimum of 1 (write at least 1)", ""),
    ("ample: 1000000", "ample: plenty", '"plenty" is not of type "number" (write a value of', ""),
    ("schemes: [https]", "schemes: [htps]", '"htps" is not one of "http" or "https" (did you mean https?)', ""),
    (
        "          in: path\n          required: true\n          description: The task id",
        "          in: pth\n          required: true\n          description: The task id",
        "(did you mean path?)",
        "",
    ),
    (
        "      security: []\n      parameters",
        "      security: {}\n      parameters",
        'is not valid OpenAPI 3.1: {} is not of type "array',
        "",
    ),
    (
        "          required: true\n          description: The task id",
        "          description: The task id",
        "missing required key `required` (add it)",
        "- name: task_id",
    ),
    (
        "      operationId: getCredits",
        "      operationId: getTask",
        "'getTask' is also the id of get /v1/tasks/{task_id",
        "",
    ),
    (
        "when: [content_refused]",
        "when: [content_refused, plan_forbidden]",
        "plan_forbidden is already in the `when` of content",
        "forbidden: {status: 403, type: permissio",
    ),
    (
        "        - name: index\n",
        "        - name: task_id\n",
        "there are two path parameters 'task_id' (did you mean index?)",
        "",
    ),
    ("security:\n  - bearer: []\n", "", "asks for no key, but has operations on an account:", "openapi: 3.1.0"),
    ("  - bearer: []\n", "  - beerer: []\n", "names beerer, but not 'bearer', the scheme of x-mo", "security:"),
    (
        "      type: http\n      scheme: bearer\n",
        "      type: http\n      scheme: basic\n",
        "'bearer' is no bearer token and no header (use {ty",
        "scheme: bearer",
    ),
    (", when: [content_refused]", "", "no error has content_refused in its `when` (add ea", "errors:"),
    ("when: [content_refused]", "when: [content_refusd]", "(did you mean content_refused?)", ""),
    ("  provider: evolink\n", "", "missing `provider` or `part_of` (a spec needs x-mo", "x-mock:"),
    ("      result: video\n", "      result: vidoe\n", "unknown result 'vidoe' (did you mean video?)", ""),
    ("default_plan: default\n", "default_plan: defalt\n", "unknown plan 'defalt' (did you mean default?)", ""),
    ("openapi: 3.1.0", "openapi: 3.0.3", "must be 3.1.x; got '3.0.3' (write `openapi: 3.1.0`)", ""),
    ("openapi: 3.1.0\n", "", "must be 3.1.x; got None (write `openapi: 3.1.0`)", ""),
    (
        "info:\n  title: EvoLink, Gemini Omni Flash text-to-video\n",
        "info:\n  titel: EvoLink, Gemini Omni Flash text-to-video\n",
        "unknown key: titel (did you mean title?)",
        "",
    ),
    ("  title: EvoLink, Gemini Omni Flash text-to-video\n", "", "missing required key `title` (add it)", "info:"),
    (
        "      operationId: getTask\n      summary",
        "      summary",
        "missing required key `operationId` (add it: journa",
        "get:",
    ),
    ("          description: Task created\n", "", "missing required key `description` (add it)", "'200':"),
    (
        "path: '/files/{task_id}/{index}.mp4'\n",
        "path: '/file/{task_id}/{index}.mp4'\n",
        "(did you mean /files/{task_id}/{index}.mp4?)",
        "",
    ),
    (
        "path: '/files/{task_id}/{index}.mp4'\n",
        "path: '/files/{task}/{index}.mp4'\n",
        "{task} is sent as it stands (did you mean task_id?)",
        "",
    ),
    ("  /files/{task_id}/{index}.mp4:\n", "  /files/{taskid}/{index}.mp4:\n", "(did you mean task_id?)", ""),
    (
        "        - name: task_id\n          in: path\n          required: true\n          description",
        "        - name: taskid\n          in: path\n          required: true\n          description",
        "the path has no {taskid} (did you mean task_id?)",
        "",
    ),
    ("  /v1/tasks/{task_id}:\n", "  /v1/tasks/{id}:\n", "(did you mean task_id?)", ""),
    (
        "      pattern: '^task-unified-'\n      source",
        "      pattern: '^task_unified-'\n      source",
        "does not match 'task-unified-{unix_s}-{base36:8}'",
        "",
    ),
    (
        "refuses: '\\b(gore|nsfw)\\b'",
        "refuses: '\\b(gore|nsfw\\b'",
        "is not a regular expression: missing ): \\b(gore|ns",
        "",
    ),
    ("pattern: '^https://'", "pattern: '^(https://'", "is not a regular expression (write it without look", ""),
    ("header: X-Request-Id", "header: 'X Request: Id'", '"X Request: Id" does not match "^[!#$%&\'*+.^_`|~0-', ""),
    ("example: sk-evolink-mock-key", "example: sk evolink", "does not match key_pattern (make the two agree)", ""),
    ("  content_policy:\n", "  content_policys:\n", "unknown key: content_policys (did you mean content_policy?)", ""),
    (
        "prompt: A red kite loops over a beach at dusk, duration: 6}",
        "prompt: A red kite, duration: 60}",
        "does not match the request schema: duration: does",
        "",
    ),
    (
        "model: gemini-omni-flash-text-to-video, prompt: A red kite loops over a beach at dusk, duration: 6}",
        "model: gemini, prompt: A red kite loops over a beach at dusk, duration: 6}",
        "does not match the request schema: model: must be",
        "",
    ),
    (
        "      processing: {from: 45, to: 70, progress: [1, 99], source: inferred}\n",
        "      procesing: {from: 45, to: 70, progress: [1, 99], source: inferred}\n",
        "(did you mean processing?)",
        "",
    ),
    (
        "each: {by: '$input#/duration', values: {auto: 10}, otherwise: '$input#/duration'}",
        "each: ten",
        "'ten' is no expression (write a number, or $ and a name)",
        "",
    ),
    ("of: ['16:9', '9:16']", "of: []", "[] has less than 1 item (specs/x-mock.schema.json", ""),
    ("of: ['16:9', '9:16']", "of: ['16:9', '9by16']", "is no ratio: '9by16' (write it like '16:9', no fla", ""),
    (
        "ratio: {by: '$input#/aspect_ratio'",
        "ratio: wide #{by: '$input#/aspect_ratio'",
        '"wide" does not match "^(\\$.*|[1-9][0-9]{0,3}:[1-9',
        "",
    ),
    (
        "          application/json:\n            schema: {$ref: '#/components/schemas/VideoRequest'}",
        "          '*/*':\n            schema: {$ref: '#/components/schemas/VideoRequest'}",
        "a submit reads JSON, not */* (add application/json)",
        "",
    ),
    (
        "          application/json:\n            schema: {$ref: '#/components/schemas/VideoRequest'}",
        "          text/plain:\n            schema: {$ref: '#/components/schemas/VideoRequest'}",
        "a submit reads JSON, not text/plain (add application/json)",
        "",
    ),
    ("      x-mock:\n        role: result\n", "", "has no x-mock (add `x-mock: {role: result}`)", "get:"),
    ("content_type: application/xml", "content_type: xml", '"xml" does not match "^[^\\s/;]+/[^\\s/;]+(;[ -~]*)?', ""),
    (
        "content_type: application/xml",
        'content_type: "application/xml\\r\\nX: y"',
        '"application/xml\\r\\nX: y" does not match "^[^\\s/;]',
        "",
    ),
    ("tags: [task]", "tags: task", 'is not valid OpenAPI 3.1: "task" is not of type "a', ""),
    (
        "  request_id: {header: X-Request-Id, format: 'req_{hex:24}'",
        "  request_id: {header: X-Request-Id, format: 'req_{hex:x}'",
        "id format 'req_{hex:x}': a placeholder must be one",
        "",
    ),
    ("model: $request.body#/model", "model: gemini-omni", "unknown model 'gemini-omni' (known: gemini-omni-", ""),
    (
        "model: $request.body#/model\n",
        "model: $request.body#/model\n        default_model: gemini-omni-flash\n",
        "unknown model 'gemini-omni-flash' (did you mean gemini-omni-",
        "",
    ),
    (
        "        role: result\n",
        "        role: result\n        result: vidoe\n",
        "unknown result 'vidoe' (did you mean video?)",
        "",
    ),
    (
        "        role: result\n",
        "        role: result\n        task: $request.path.taskid\n",
        "has no path parameter 'taskid' (did you mean task_id?)",
        "",
    ),
    (
        "        role: balance\n        reply:\n",
        "        role: balance\n        reply:\n          retry_after: 5\n",
        "unknown key: retry_after (did you mean retry_after_s?)",
        "",
    ),
    ("estimated_s: 60", "estimated_s: soon", '"soon" is not of type "number" (write a value of type number)', ""),
]
#: Mistakes that do not touch each other.
TOGETHER = ("lifecycel", "defaultplan", "getTasks", "/promt", "4O2", "vidoe", "timeout_s: ten", "minLenght")


@pytest.mark.parametrize(("old", "new", "said", "line"), MISTAKES)
def test_one_line_for_one_mistake(tmp_path: Path, old: str, new: str, said: str, line: str) -> None:
    """Nothing is told twice, and no consequence is told beside its cause."""
    assert old in EVOLINK
    text = EVOLINK.replace(old, new, 1)
    file = tmp_path / "spec.yaml"
    file.write_text(text, encoding="utf-8")
    issues = check_files([file])
    assert len(issues) == 1, list(map(str, issues))
    (issue,) = issues
    assert said in str(issue)
    assert issue.file == str(file)
    assert issue.fix or "must be" in issue.message
    assert "\n" not in str(issue)
    assert issue.line is not None
    if line:
        assert line in text.splitlines()[issue.line - 1]
    else:
        changed = (new != old for old, new in zip_longest(EVOLINK.splitlines(), text.splitlines()))
        assert issue.line == list(changed).index(True) + 1


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    """Mistakes in keys, pointers, names, types, schemas and statuses come together, in the order of their lines."""
    rows = [next(row for row in MISTAKES if word in row[1]) for word in TOGETHER]
    text = EVOLINK
    for old, new, _, _ in rows:
        text = text.replace(old, new, 1)
    file = tmp_path / "spec.yaml"
    file.write_text(text, encoding="utf-8")
    issues = check_files([file])
    assert len(issues) == len(rows), list(map(str, issues))
    assert all(any(said in str(issue) for issue in issues) for _, _, said, _ in rows)
    lines = [issue.line or 0 for issue in issues]
    assert lines == sorted(lines)
