"""The description of Herald's routes for programs: `GET /openapi.json`, in OpenAPI 3.1.

bodies, answers     the schemas of what is sent and answered; those of bodies come from the wire models
refusals            every refusal as an answer, with the sentences of `notify.errors`
calls, doors        the operations: of callers, and of platforms, browsers and machines
document            all of it for the routes that a server has
page                the route
"""
