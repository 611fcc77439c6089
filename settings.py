"""The one settings object: a TOML file, overlaid by `HERALD_…` variables, read once and checked as a whole.

`load` either returns a frozen `Settings` or raises one `SettingsError` that lists every problem with its
key, the file or variable it stands in, and what to do. No message ever shows a value, so none shows a secret.
"""

import difflib
import ipaddress
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Self, Union, get_args, get_origin
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

PREFIX: Final = "HERALD_"
MIN_ENCRYPTION_KEY: Final = 32
MIN_DIFFERENT: Final = 8  # characters: 32 random hexadecimal ones have fewer once in ten million times
MIN_CLIENT_SECRET: Final = 16  # RFC 8725 asks for the hash length (32 for HS256): shorter works, guessable does not
PROACTIVE_SCOPE: Final = "channel_management:proactive_messages"
SLACK_SCOPES: Final = ("chat:write", "users:read", "users:read.email")


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: which key, where it is written, and what to do about it."""

    key: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.message}" if self.key else f"{self.where}: {self.message}"


class SettingsError(Exception):
    """The settings cannot be used; `problems` lists everything that is wrong with them."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n".join([f"The settings have {count}:", *(f"  - {p}" for p in problems)]))


class BrokenRules(ValueError):
    """Several rules of one table at once, each with the key it is about (a validator may raise only one error)."""

    def __init__(self, rules: list[tuple[str, str]]) -> None:
        self.rules = rules
        super().__init__("; ".join(f"{key}: {message}" for key, message in rules))


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class _Source:
    """What references in values are resolved against; travels as pydantic's validation context."""

    folder: Path
    environ: Mapping[str, str]


def _source(info: ValidationInfo) -> _Source:
    return info.context if isinstance(info.context, _Source) else _Source(Path(), {})


def _dereference(value: object, info: ValidationInfo) -> object:
    """Replace `env:NAME` and `file:PATH` by what they point at; anything else stays as it is."""
    if not isinstance(value, str):
        return value
    kind, _, target = value.partition(":")
    if kind == "env":
        found = _source(info).environ.get(target, "")
        if not found:
            raise ValueError(f"environment variable {target!r} is not set or empty: set it, or use file:PATH")
        return found
    if kind == "file":
        return _read(_source(info).folder / target)
    return value


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(f"file {path} cannot be read ({reason}): create it or correct the path") from error
    if not text:
        raise ValueError(f"file {path} is empty: write the secret into it")
    return text


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _one_or_many(value: object) -> object:
    return (value,) if isinstance(value, str) else _as_tuple(value)


def _file(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    path = _source(info).folder / value.removeprefix("file:")
    _read(path)
    return path


def _moment(value: object) -> object:
    """An ISO text (as JSON in a variable has it) becomes a moment; TOML has moments of its own."""
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return value


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("has no time zone: write for example 2030-01-31T00:00:00Z")
    return value


def _public_key(value: str) -> str:
    remedy = "give an RSA public key of at least 2048 bits as PEM, best as file:PATH"
    try:
        key = load_pem_public_key(value.encode())
    except ValueError as error:
        raise ValueError(f"is not a PEM public key: {remedy}") from error
    if not isinstance(key, RSAPublicKey) or key.key_size < 2048:
        raise ValueError(f"is not a strong RSA key: {remedy}")
    return value


def _private_key(value: SecretStr) -> SecretStr:
    remedy = "give an RSA private key of 2048 to 4096 bits as PEM without a passphrase, best as file:PATH"
    try:
        key = load_pem_private_key(value.get_secret_value().encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"is not a PEM private key: {remedy}") from error
    if not isinstance(key, RSAPrivateKey) or not 2048 <= key.key_size <= 4096:
        raise ValueError(f"is not an RSA key that can be used: {remedy}")
    return value


_FILLERS: Final = (
    "change|changeit|changeme|changethis|me|my|the|a|an|this|your|own|our|some|any|here|in|with|at|least|of|long|string|bit|bits"
    "|char|chars|characters|secret|secrets|supersecret|super|very|key|keys|token|password|passwort|passwd|pass|example|sample"
    "|dummy|fake|placeholder|default|insert|replace|put|enter|fill|please|todo|fixme|xxx+|test|testing|demo|client|app|bot|api"
    "|signing|shared|encryption|random|real|value|admin|letmein|qwerty|welcome|iloveyou|guessme|unsafe|insecure|not|so|is|for"
    "|to|and|herald|jwt|hmac|sha|before|production|prod|use|goes|go|now|must|be|should"
)
_ONLY_FILLERS: Final = re.compile(f"(?:{_FILLERS})+")
_BEGINNINGS: Final = ("changeme", "replaceme", "yoursecret", "yourkey", "insertyour", "placeholder")
_UNRESOLVED: Final = ("env:", "file:", "${", "<")


def _placeholder(secret: str) -> str | None:
    """What is wrong with a secret that stands for one, as a sentence."""
    letters = re.sub(r"[^a-z]", "", secret.lower())
    if _ONLY_FILLERS.fullmatch(letters) or letters.startswith(_BEGINNINGS) or secret.startswith(_UNRESOLVED):
        return "is a placeholder: write the secret itself"
    if len(secret) > 1 and len(set(secret)) == 1:
        return "is one character, repeated: write the secret itself"
    return None


def _guessable(secret: str) -> str | None:
    """What is wrong with a secret that somebody made up, as a sentence."""
    placeholder = _placeholder(secret)
    if placeholder is None and len(set(secret)) < MIN_DIFFERENT:
        return f"has fewer than {MIN_DIFFERENT} different characters, it is guessable: try `openssl rand -base64 32`"
    return placeholder


def _is_local(url: str) -> bool:
    """Whether an address is of this machine or of its own network."""
    host = urlsplit(url).hostname or ""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host


def _web_address(value: str, *, schemes: tuple[str, ...], ports: bool) -> str:
    """Check an absolute address without user, query or fragment; return it without a trailing slash."""
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError as error:
        raise ValueError("is not a web address: write https://host/path") from error
    if url.scheme not in schemes:
        hint = "" if "http" in schemes else ", unless endpoints.dangerously_allow_http_endpoints is true"
        raise ValueError(f"must begin with {' or '.join(f'{s}://' for s in schemes)}{hint}")
    if not url.hostname or re.search(r"[\s\\]", value):
        raise ValueError("has no usable host: write https://host/path")
    if url.username is not None or url.password is not None:
        raise ValueError("must not hold a user or password: remove the part before @")
    if "?" in value or "#" in value:
        raise ValueError("must not hold ? or #: end it after the path")
    if port is not None and not ports:
        raise ValueError("must not name a port: remove it, or set endpoints.dangerously_allow_http_endpoints")
    return value.rstrip("/")


def _networks(value: object) -> object:
    """A list of addresses and networks in their usual spelling; a network of everybody trusts nobody in particular."""
    if not isinstance(value, list | tuple):
        return value
    found = []
    for each in value:
        try:
            network = ipaddress.ip_network(str(each))
        except ValueError as error:
            raise ValueError("must list addresses or networks: 10.0.0.5, 10.0.0.0/8, fd00::/8") from error
        if network.prefixlen == 0:
            raise ValueError("must not trust every address: name the proxy's own")
        found.append(network)
    return tuple(found)


def _public_url(value: str) -> str:
    return _web_address(value, schemes=("https", "http"), ports=True)


def _local_url(data: dict[str, Any]) -> str:
    host, port = str(data["host"]), int(data["port"])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        return f"http://localhost:{port}"
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"


_GUID: Final = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
# the shape that BotKit checks before it calls (Koredotcom/BotKit: lib/app/middlewares/APIKeyMiddleware)
_BOT_ID: Final = r"^st-[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-5[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"

_KEY_ID: Final = r"^k-[A-Za-z0-9._-]{1,64}$"

Secret = Annotated[SecretStr, BeforeValidator(_dereference), Field(min_length=1)]
SafeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@+-]{1,128}$")]
Scope = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.:-]{0,99}$")]
Scopes = Annotated[tuple[Scope, ...], BeforeValidator(_as_tuple)]
Guid = Annotated[str, Field(pattern=_GUID)]
Networks = Annotated[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...], BeforeValidator(_networks)]


class Table(BaseModel):
    """A table of the file: frozen, strict about types, unknown keys refused, values hidden in errors."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        broken = list(self._broken())
        if broken:
            raise BrokenRules(broken)
        return self

    def _broken(self) -> Iterator[tuple[str, str]]:
        """Yield key and sentence for each rule between keys that does not hold."""
        yield from ()


# ── server, storage ─────────────────────────────────────────────────────────────────────────────────────────
class Server(Table):
    """Where Herald listens, how the world reaches it, and whether this process sends."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8080, ge=0, le=65535)  # 0: any free port, printed at start
    public_url: Annotated[str, AfterValidator(_public_url)] = Field(default_factory=_local_url)
    trusted_proxies: Networks = ()  # whose X-Forwarded-For is believed
    drain: bool = True  # False: this process only answers HTTP
    shutdown_grace_seconds: float = Field(default=10.0, ge=0, le=300)
    claim_seconds: float = Field(default=30.0, ge=1, le=600)  # several servers: when a hung one loses its lanes


class Storage(Table):
    """The database, and the keys that seal tokens in it: the first one encrypts, all of them decrypt."""

    url: Secret  # may hold a password, so it is treated as a secret
    encryption_key: Annotated[tuple[Secret, ...], BeforeValidator(_one_or_many), Field(min_length=1)]

    @field_validator("url")
    @classmethod
    def _known_engine(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        """Accept the two engines; a relative SQLite path is relative to the settings file, not to the shell."""
        url = value.get_secret_value()
        if url.startswith("postgresql://"):
            return value
        path = url.removeprefix("sqlite:///")
        if path == url or not path or path.startswith((":memory:", "file:")):
            raise ValueError("must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE")
        return SecretStr(f"sqlite:///{_source(info).folder / path}")

    @field_validator("encryption_key")
    @classmethod
    def _long_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < MIN_ENCRYPTION_KEY for key in value):
            raise ValueError(f"must have at least {MIN_ENCRYPTION_KEY} characters: try `openssl rand -base64 32`")
        for weakness in filter(None, (_guessable(key.get_secret_value()) for key in value)):
            raise ValueError(weakness)
        return value


# ── bots ────────────────────────────────────────────────────────────────────────────────────────────────────
class TeamsApp(Table):
    """A bot's Teams side; the combinations are those that Entra can issue tokens for."""

    app_id: Guid
    app_type: Literal["SingleTenant", "MultiTenant", "UserAssignedMSI"] = "SingleTenant"
    tenant_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,128}$")] | None = None
    app_password: Secret | None = None
    certificate_file: Annotated[Path, BeforeValidator(_file)] | None = None  # PEM: the private key
    certificate_thumbprint: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{40}$")] | None = (
        None  # SHA-1, as Entra shows it
    )
    graph: bool = True  # may look people up by Graph
    install: bool | None = None  # may install the app for people by Graph; by default where catalog_app_id is given
    catalog_app_id: Guid | None = None  # the app's id in the tenant's catalog; without it Graph is asked for it

    @property
    def installs(self) -> bool:
        """Whether the app is installed for people who do not have it."""
        return self.graph and (self.catalog_app_id is not None if self.install is None else self.install)

    def _broken(self) -> Iterator[tuple[str, str]]:
        if self.app_type == "SingleTenant" and self.tenant_id is None:
            yield "tenant_id", 'is missing: app_type "SingleTenant" needs the Entra tenant of the app'
        if self.app_type != "MultiTenant" and self.tenant_id is not None and not re.fullmatch(_GUID, self.tenant_id):
            yield "tenant_id", "must be the tenant's id (a GUID): Teams names the tenant by it in every activity"
        if (self.certificate_file is None) != (self.certificate_thumbprint is None):
            yield "certificate_thumbprint", "certificate_file and certificate_thumbprint belong together: set both"
        given = (self.app_password is not None) + (self.certificate_file is not None)
        if self.app_type == "UserAssignedMSI":
            if given:
                yield "app_password", "a managed identity has no password or certificate: remove it"
        elif given == 0:
            yield "app_password", "is missing: set app_password, or certificate_file and certificate_thumbprint"
        elif given == 2:
            yield "app_password", "stands beside a certificate: keep one of the two"
        if self.install and not self.graph:
            yield "install", "needs graph = true: the app is installed by Microsoft Graph"


class SlackApp(Table):
    """A bot's Slack side: installed by OAuth into any workspace, or one workspace by its bot token."""

    signing_secret: Secret
    client_id: SafeName | None = None
    client_secret: Secret | None = None
    bot_token: Secret | None = None  # if set, it alone is used and the install pages are off
    scopes: Scopes = SLACK_SCOPES
    optional_scopes: Scopes = ()  # asked for beside `scopes`; Herald works without them

    @property
    def uses_oauth(self) -> bool:
        """Whether workspaces install the app themselves."""
        return self.bot_token is None

    @field_validator("bot_token")
    @classmethod
    def _is_bot_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith("xoxb-"):
            raise ValueError("must be the Bot User OAuth Token of the app: it begins with xoxb-")
        return value

    def _broken(self) -> Iterator[tuple[str, str]]:
        if self.bot_token is None and (self.client_id is None or self.client_secret is None):
            yield "client_id", "is incomplete: set client_id and client_secret, or bot_token alone"
        if "chat:write" not in self.scopes:
            yield "scopes", "must hold chat:write: nothing can be sent without it"


class RotatingSecret(Table):
    """One of several secrets of a client; after `until` it no longer opens the door."""

    value: Secret
    until: Annotated[datetime, BeforeValidator(_moment), AfterValidator(_aware)] | None = None


class RotatingPublicKey(Table):
    """One of several public keys of a client; after `until` it no longer opens the door."""

    value: Annotated[str, BeforeValidator(_dereference), AfterValidator(_public_key)]
    until: Annotated[datetime, BeforeValidator(_moment), AfterValidator(_aware)] | None = None


class DecryptionKey(Table):
    """A private key for encrypted tokens; callers have its public half and name it by `kid`."""

    kid: Annotated[str, Field(pattern=_KEY_ID)]
    private_key: Annotated[Secret, AfterValidator(_private_key)]


class ApiClient(Table):
    """A backend that may call the API, known by the signature on its tokens."""

    client_id: SafeName
    algorithm: Literal["HS256", "HS512", "RS256", "RS512"] = "HS256"
    secret: Secret | None = None
    secrets: Annotated[tuple[RotatingSecret, ...], BeforeValidator(_as_tuple)] = ()
    public_key: Annotated[str, BeforeValidator(_dereference), AfterValidator(_public_key)] | None = None
    public_keys: Annotated[tuple[RotatingPublicKey, ...], BeforeValidator(_as_tuple)] = ()
    scopes: Scopes = (PROACTIVE_SCOPE,)
    require_exp: bool = False
    enforce_jti: bool = False

    def valid_secrets(self, now: datetime) -> tuple[SecretStr, ...]:
        """The secrets that open the door at `now`, the plain one first."""
        plain = () if self.secret is None else (self.secret,)
        return plain + tuple(s.value for s in self.secrets if s.until is None or now < s.until)

    def shared_secrets(self) -> Iterator[tuple[str, str]]:
        """Every secret with the key it stands at, whether it has ended or not."""
        if self.secret is not None:
            yield "secret", self.secret.get_secret_value()
        for number, rotating in enumerate(self.secrets):
            yield f"secrets[{number}].value", rotating.value.get_secret_value()

    def valid_public_keys(self, now: datetime) -> tuple[str, ...]:
        """The public keys that open the door at `now`, the plain one first."""
        plain = () if self.public_key is None else (self.public_key,)
        return plain + tuple(k.value for k in self.public_keys if k.until is None or now < k.until)

    def ended(self, now: datetime) -> Iterator[tuple[str, datetime]]:
        """The secrets and public keys that open nothing any more at `now`: where they stand, and their end."""
        secrets = ((f"secrets[{number}]", each.until) for number, each in enumerate(self.secrets))
        public = ((f"public_keys[{number}]", each.until) for number, each in enumerate(self.public_keys))
        yield from ((key, until) for key, until in (*secrets, *public) if until is not None and until <= now)

    def _broken(self) -> Iterator[tuple[str, str]]:
        shared = list(self.shared_secrets())
        public = self.public_key is not None or bool(self.public_keys)
        if self.algorithm.startswith("RS"):
            if not public:
                yield "public_key", f"is missing: algorithm {self.algorithm} needs public_key or public_keys"
            if shared:
                yield "secret", f"does not fit algorithm {self.algorithm}: remove it"
            return
        if public:
            yield "public_key", f"does not fit algorithm {self.algorithm}: remove it, or choose RS256 or RS512"
        if not shared:
            yield "secret", f"is missing: algorithm {self.algorithm} needs secret or secrets"
        for key, secret in shared:
            if len(secret) < MIN_CLIENT_SECRET:
                yield key, f"must have at least {MIN_CLIENT_SECRET} characters, better 32: it is guessable"
            elif weakness := _guessable(secret):
                yield key, weakness


class Bot(Table):
    """One notifier: a Teams app, a Slack app or both, and the clients that may use it."""

    id: Annotated[str, Field(pattern=_BOT_ID)]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    msteams: TeamsApp | None = None
    slack: SlackApp | None = None
    clients: Annotated[tuple[ApiClient, ...], BeforeValidator(_as_tuple)] = ()

    def _broken(self) -> Iterator[tuple[str, str]]:
        if self.msteams is None and self.slack is None:
            yield "", "has no channel: add a table [bots.msteams] or [bots.slack] below it"


# ── endpoints ───────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class _TeamsCloud:
    login: str
    multi_tenant: str
    issuer: str
    openid: str
    graph: str
    service_urls: tuple[str, ...]
    default_service_url: str | None


# Login, issuer and metadata: microsoft/teams.ts packages/api/src/auth/cloud-environment.ts and the constants of
# botframework-connector. Graph: learn.microsoft.com/graph/deployments. Global service addresses: msteams-docs,
# bots/how-to/conversations/send-proactive-messages.md (China has none: it is learned from inbound events).
_COMMERCIAL: Final = _TeamsCloud(
    "https://login.microsoftonline.com",
    "botframework.com",
    "https://api.botframework.com",
    "https://login.botframework.com/v1/.well-known/openidconfiguration",
    "https://graph.microsoft.com",
    ("https://smba.trafficmanager.net", "https://smba.onyx.prod.teams.trafficmanager.net"),
    "https://smba.trafficmanager.net/teams/",
)
_GCC: Final = replace(
    _COMMERCIAL,
    service_urls=("https://smba.infra.gcc.teams.microsoft.com",),
    default_service_url="https://smba.infra.gcc.teams.microsoft.com/teams/",
)
_GCC_HIGH: Final = _TeamsCloud(
    "https://login.microsoftonline.us",
    "MicrosoftServices.onmicrosoft.us",
    "https://api.botframework.us",
    "https://login.botframework.azure.us/v1/.well-known/openidconfiguration",
    "https://graph.microsoft.us",
    ("https://smba.infra.gov.teams.microsoft.us",),
    "https://smba.infra.gov.teams.microsoft.us/teams/",
)
_DOD: Final = replace(
    _GCC_HIGH,
    graph="https://dod-graph.microsoft.us",
    service_urls=("https://smba.infra.dod.teams.microsoft.us",),
    default_service_url="https://smba.infra.dod.teams.microsoft.us/teams/",
)
_CHINA: Final = _TeamsCloud(
    "https://login.partner.microsoftonline.cn",
    "microsoftservices.partner.onmschina.cn",
    "https://api.botframework.azure.cn",
    "https://login.botframework.azure.cn/v1/.well-known/openidconfiguration",
    "https://microsoftgraph.chinacloudapi.cn",
    ("https://frontend.botapi.msg.infra.teams.microsoftonline.cn",),
    None,
)
TEAMS_CLOUDS: Final = {
    "public": _COMMERCIAL, "gcc": _GCC, "gcc-high": _GCC_HIGH, "dod": _DOD, "china": _CHINA,
}  # fmt: skip
# api.slack-gov.com/gov-slack: a separate instance with its own app registration
SLACK_CLOUDS: Final = {"public": "https://slack.com", "gov": "https://slack-gov.com"}


@dataclass(frozen=True, slots=True)
class ResolvedEndpoints:
    """Every address of the platforms, after presets and overrides."""

    slack_api: str  # with a trailing slash, as slack_sdk's base_url wants it
    slack_authorize: str
    entra_login: str  # without a trailing slash: {entra_login}/{tenant}/oauth2/v2.0/token
    bot_openid: str
    bot_issuer: str  # issuer of inbound tokens and, with /.default, scope of outbound ones
    multi_tenant_login: str  # the tenant in which a multi-tenant bot asks for its token
    graph: str  # without /v1.0 and without a trailing slash
    graph_audience: str  # the cloud's own Graph: with /.default the scope of its tokens
    teams_service_urls: tuple[str, ...]  # allow-list, without trailing slashes
    teams_default_service_url: str | None  # with a trailing slash; None: learned from inbound events only
    allow_http: bool


class Endpoints(Table):
    """Where the platforms are: two presets, and single addresses that differ from them."""

    dangerously_allow_http_endpoints: bool = False  # stands first: the addresses below are checked by it
    cloud: Literal["public", "gcc", "gcc-high", "dod", "china"] = "public"
    slack_cloud: Literal["public", "gov"] = "public"
    slack_api: str | None = None
    slack_authorize: str | None = None
    entra_login: str | None = None
    bot_openid: str | None = None
    graph: str | None = None
    teams_service_urls: Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1)] | None = None
    teams_default_service_url: str | None = None

    @field_validator("slack_api", "slack_authorize", "entra_login", "bot_openid", "graph", "teams_default_service_url")
    @classmethod
    def _address(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        danger = bool(info.data.get("dangerously_allow_http_endpoints"))
        return _web_address(value, schemes=("https", "http") if danger else ("https",), ports=danger)

    @field_validator("teams_service_urls")
    @classmethod
    def _addresses(cls, value: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        return None if value is None else tuple(cls._address(url, info) or "" for url in value)

    @property
    def are_simulated(self) -> bool:
        """Whether the platforms are stood in for by a program on this machine or in its own network."""
        single = (self.slack_api, self.slack_authorize, self.entra_login, self.bot_openid, self.graph)
        given = [url for url in (*single, *(self.teams_service_urls or ())) if url is not None]
        return self.dangerously_allow_http_endpoints and bool(given) and all(map(_is_local, given))

    def _broken(self) -> Iterator[tuple[str, str]]:
        wanted = self.teams_default_service_url
        if wanted is not None and not _covered(wanted, self.resolved().teams_service_urls):
            yield "teams_default_service_url", "must lie below one of teams_service_urls: add it there"

    def resolved(self) -> ResolvedEndpoints:
        """The presets with the single keys laid over them."""
        teams, slack = TEAMS_CLOUDS[self.cloud], SLACK_CLOUDS[self.slack_cloud]
        allowed = self.teams_service_urls or teams.service_urls
        default = self.teams_default_service_url or teams.default_service_url
        if default is not None and not _covered(default, allowed):
            default = None  # other connectors without a default of theirs: the preset's would never be used
        return ResolvedEndpoints(
            slack_api=(self.slack_api or f"{slack}/api") + "/",
            slack_authorize=self.slack_authorize or f"{slack}/oauth/v2/authorize",
            entra_login=self.entra_login or teams.login,
            bot_openid=self.bot_openid or teams.openid,
            bot_issuer=teams.issuer,
            multi_tenant_login=teams.multi_tenant,
            graph=(self.graph or teams.graph).removesuffix("/v1.0"),
            graph_audience=teams.graph,
            teams_service_urls=allowed,
            teams_default_service_url=None if default is None else default.rstrip("/") + "/",
            allow_http=self.dangerously_allow_http_endpoints,
        )


def _covered(url: str, allowed: tuple[str, ...]) -> bool:
    """Whether `url` equals an allowed one or lies below it by whole path segments."""
    return any(f"{url.rstrip('/')}/".startswith(f"{entry}/") for entry in allowed)


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────
class Pace(Table):
    """How fast each lane may call; defaults stay just below what the platforms document."""

    # documented: 50/s per app and tenant; more only where a peer without limits stands in for the platform
    teams_requests_per_second: float = Field(default=48.0, gt=0, le=100_000)
    teams_in_flight: int = Field(default=32, ge=1, le=1024)
    teams_installs_per_second: float = Field(default=28.0, gt=0, le=100_000)  # documented: 30/s per app and tenant
    # start value, learned from there: "several hundred" a minute
    slack_posts_per_second: float = Field(default=4.0, gt=0, le=100_000)
    slack_burst: int = Field(default=30, ge=1, le=10_000)
    slack_in_flight: int = Field(default=8, ge=1, le=1024)
    slack_lookups_per_minute: int = Field(default=50, ge=1, le=1000)  # users.lookupByEmail: tier 3
    slack_lists_per_minute: int = Field(default=20, ge=1, le=1000)  # users.list: tier 2
    graph_batches_per_second: float = Field(default=10.0, gt=0, le=100)  # 20 people each: 2000 of 3500 units in 10 s


class Delivery(Table):
    """How long and how often Herald tries."""

    deadline_hours: float = Field(default=24.0, gt=0, le=168)
    max_attempts: int = Field(default=5, ge=1, le=100)
    # so long after an unanswered call began the platform may still store its message: absence is believed only then
    settle_seconds: float = Field(default=60.0, ge=0, le=600)


class Retention(Table):
    """How long Herald remembers."""

    days: int = Field(default=90, ge=1, le=3650)  # texts, e-mails and all else of people, after a request was closed
    idempotency_days: int = Field(default=30, ge=30, le=3650)  # callers are promised thirty


class Scripts(Table):
    """What callers' scripts may use."""

    processes: int = Field(default=2, ge=1, le=64)
    cpu_ms: int = Field(default=100, ge=1, le=10_000)  # for each recipient
    memory_mb: int = Field(default=32, ge=4, le=1024)  # for each recipient
    request_seconds: float = Field(default=60.0, gt=0, le=3600)  # for all recipients of a request, in all processes


class Limits(Table):
    """What one caller may ask for."""

    body_bytes: int = Field(default=8 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    other_body_bytes: int = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)  # explain, events of the platforms
    identities: int = Field(default=1000, ge=1, le=1000)  # 1000 is the documented most
    requests_per_minute: int = Field(default=600, ge=1)  # per bot, all four calls together
    requests_per_hour: int = Field(default=18_000, ge=1)
    token_leeway_seconds: float = Field(default=60.0, ge=0, le=600)
    bad_tokens_per_minute: int = Field(default=10, ge=0, le=1_000_000)  # from one address; then answers come late


class Settings(Table):
    """Everything that an operator decides."""

    server: Server = Field(default_factory=Server)
    storage: Storage
    bots: Annotated[tuple[Bot, ...], BeforeValidator(_as_tuple)] = ()
    clients: Annotated[tuple[ApiClient, ...], BeforeValidator(_as_tuple)] = ()  # admin-scoped: all bots
    decryption_keys: Annotated[tuple[DecryptionKey, ...], BeforeValidator(_as_tuple)] = ()
    endpoints: Endpoints = Field(default_factory=Endpoints)
    pace: Pace = Field(default_factory=Pace)
    delivery: Delivery = Field(default_factory=Delivery)
    retention: Retention = Field(default_factory=Retention)
    limits: Limits = Field(default_factory=Limits)
    scripts: Scripts = Field(default_factory=Scripts)

    def _broken(self) -> Iterator[tuple[str, str]]:
        """Platforms count per app and callers are known by their id, so neither may stand twice."""
        seen: set[tuple[str, str]] = set()
        for kind, value, key, message in self._unique_values():
            if (kind, value) in seen:
                yield key, message
            seen.add((kind, value))
        yield from self._reused_secrets()
        if not self.endpoints.are_simulated:
            yield from self._platforms_placeholders()

    def dangers(self) -> tuple[str, ...]:
        """Every option called `dangerously_…` that is on."""
        return tuple(_dangers(self, ""))

    def callers(self) -> Iterator[tuple[str, ApiClient]]:
        """Every client with the key its table stands at."""
        for index, bot in enumerate(self.bots):
            for number, caller in enumerate(bot.clients):
                yield f"bots[{index}].clients[{number}]", caller
        for number, caller in enumerate(self.clients):
            yield f"clients[{number}]", caller

    def _reused_secrets(self) -> Iterator[tuple[str, str]]:
        """Whoever knows a secret could speak for everybody who has the same."""
        sealing = {key.get_secret_value() for key in self.storage.encryption_key}
        owners: dict[str, str] = {}
        for at, caller in self.callers():
            for key, secret in caller.shared_secrets():
                if secret in sealing:
                    yield f"{at}.{key}", "is storage.encryption_key as well: give each its own"
                if owners.setdefault(secret, at) != at:
                    yield f"{at}.{key}", "is another client's secret as well: give each client its own"

    def _platforms_placeholders(self) -> Iterator[tuple[str, str]]:
        for key, secret in self._platforms_secrets():
            value = "" if secret is None else secret.get_secret_value()
            if value.removeprefix("xoxb-").startswith("simulator-"):
                yield key, "is the simulator's, which everybody knows: write the secret itself"
            elif weakness := _placeholder(value.removeprefix("xoxb-")):
                yield key, weakness

    def _platforms_secrets(self) -> Iterator[tuple[str, SecretStr | None]]:
        for index, bot in enumerate(self.bots):
            if bot.msteams is not None:
                yield f"bots[{index}].msteams.app_password", bot.msteams.app_password
            if bot.slack is not None:
                at = f"bots[{index}].slack"
                yield f"{at}.signing_secret", bot.slack.signing_secret
                yield f"{at}.client_secret", bot.slack.client_secret
                yield f"{at}.bot_token", bot.slack.bot_token

    def listening_on(self, port: int) -> Self:
        """These settings once the port is known (port 0 asks for any); a default public_url follows it."""
        server = self.server.model_dump(exclude_unset=True) | {"port": port}
        return self.model_copy(update={"server": Server.model_validate(server)})

    def _unique_values(self) -> Iterator[tuple[str, str, str, str]]:
        app = "belongs to another bot already: platforms count per app, so give each bot its own"
        client = "is used twice: client ids must differ over all bots and [[clients]]"
        for index, bot in enumerate(self.bots):
            at = f"bots[{index}]"
            yield "bot", bot.id.lower(), f"{at}.id", "is used twice: give each bot its own id"
            if bot.msteams is not None:
                yield "teams", bot.msteams.app_id.lower(), f"{at}.msteams.app_id", app
            if bot.slack is not None:
                if bot.slack.client_id is not None:
                    yield "slack", bot.slack.client_id, f"{at}.slack.client_id", app
                secret = bot.slack.signing_secret.get_secret_value()
                yield "signing", secret, f"{at}.slack.signing_secret", app
        for where, caller in self.callers():
            yield "client", caller.client_id, f"{where}.client_id", client
        for number, key in enumerate(self.decryption_keys):
            yield "kid", key.kid, f"decryption_keys[{number}].kid", "is used twice: give each key its own kid"


def _dangers(table: Table, path: str) -> Iterator[str]:
    for name in type(table).model_fields:
        value = getattr(table, name)
        if name.startswith("dangerously_") and value:
            yield f"{path}{name}"
        if isinstance(value, Table):
            yield from _dangers(value, f"{path}{name}.")
        elif isinstance(value, tuple):
            for number, each in enumerate(value):
                if isinstance(each, Table):
                    yield from _dangers(each, f"{path}{name}[{number}].")


# ── loading ─────────────────────────────────────────────────────────────────────────────────────────────────
def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the file, lay `HERALD_…` variables over it, resolve references, check everything.

    `HERALD_SERVER__PORT` sets `server.port`, `HERALD_BOTS__0__NAME` the name of the first bot. A variable
    named like a whole section (`HERALD_BOTS`) and one for a list hold JSON. Variables without a double
    underscore that name no section are left alone: `env:HERALD_ENCRYPTION_KEY` may point at them.
    """
    values = {} if path is None else _parse(path)
    variables: dict[_Loc, str] = {}
    for name in sorted(environ):
        loc = _location(name)
        if loc is not None and _put(values, loc, _from_text(environ[name], loc)):
            variables[loc] = name
    try:
        return Settings.model_validate(values, context=_Source(path.parent if path else Path(), environ))
    except ValidationError as error:
        file = "no settings file" if path is None else str(path)
        raise SettingsError(tuple(_problems(error, file, variables))) from None


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        message = f"is not valid TOML: {error}"
    except UnicodeDecodeError:
        message = "is not UTF-8 text: save it as UTF-8"
    except RecursionError:
        message = "is nested too deeply: no setting is"
    except OSError as error:
        message = f"cannot be read ({error.strerror}): create it from herald.example.toml or name another with --config"
    raise SettingsError((Problem("", str(path), message),))


_Loc = tuple[str | int, ...]
_INDEX: Final = re.compile(r"[0-9]{1,4}")


def _location(name: str) -> _Loc | None:
    """The key that a variable sets, or None if it is not ours."""
    rest = name.removeprefix(PREFIX)
    if rest == name:
        return None
    parts = tuple(int(part) if _INDEX.fullmatch(part) else part for part in rest.lower().split("__"))
    return parts if len(parts) > 1 or parts[0] in Settings.model_fields else None


def _put(values: dict[str, Any], loc: _Loc, value: object) -> bool:
    """Set one key, making the tables on its way; False if the file holds something else where a table belongs."""
    here: Any = values
    for part, following in zip(loc, (*loc[1:], None), strict=True):
        if isinstance(here, list) and isinstance(part, int) and part <= len(here):
            if part == len(here):
                here.append({})
        elif isinstance(here, dict) and isinstance(part, str):
            here.setdefault(part, [] if isinstance(following, int) else {})
        else:
            return False
        if following is None:
            here[part] = value
        else:
            here = here[part]
    return True


def _from_text(text: str, loc: _Loc) -> object:
    """A variable's text as the type of its key; what does not fit stays text and is refused as such."""
    kind = _type_at(loc)
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    if kind is int:
        return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text
    if kind is float:
        return float(text) if re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", text) else text
    if text.lstrip().startswith(("[", "{")) and (kind is tuple or (isinstance(kind, type) and issubclass(kind, Table))):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _type_at(loc: _Loc) -> object:
    """The plain type of a key: a scalar type, a table, `tuple`, or None if there is no such key."""
    kind: Any = Settings
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, Table) and part in kind.model_fields:
            kind = _bare(kind.model_fields[str(part)].annotation)
        elif isinstance(part, int) and get_origin(kind) is tuple:
            kind = _bare(get_args(kind)[0])
        else:
            return None
    return get_origin(kind) or kind


def _bare(kind: Any) -> Any:
    while get_origin(kind) in (Annotated, Union, UnionType):
        kind = get_args(kind)[0]
    return kind


# ── explaining ──────────────────────────────────────────────────────────────────────────────────────────────
_SENTENCES: Final = {
    "missing": "is missing: add it",
    "string_type": 'must be text: write it in "quotes"',
    "int_type": "must be a whole number: write it without quotes",
    "float_type": "must be a number: write it without quotes",
    "bool_type": "must be true or false: write it without quotes",
    "tuple_type": "must be a list: write it in [brackets], a list of tables as [[name]]",
    "model_type": "must be a table: write it as [name]",
    "model_attributes_type": "must be a table: write it as [name]",
    "datetime_type": "must be a moment: write for example 2030-01-31T00:00:00Z",
}
_MOVED: Final = {
    "delivery.retention_days": "is retention.days now, with retention.idempotency_days beside it: write those",
}
_PATTERNS: Final = {
    _GUID: "must be an id like 11111111-2222-3333-4444-555555555555: copy it from the Entra portal",
    _KEY_ID: "must be k- and at most 64 letters, digits, dots, dashes or underscores",
    _BOT_ID: "must be st- and a UUID of version 5 shape, like st-00000000-0000-5000-8000-000000000001",
}


def _problems(error: ValidationError, file: str, variables: Mapping[_Loc, str]) -> Iterator[Problem]:
    for item in error.errors(include_input=False, include_url=False):
        loc = item["loc"]
        if item["type"] == "default_factory_not_called":
            continue  # only follows from another problem, which is listed
        cause = item.get("ctx", {}).get("error")
        rules = cause.rules if isinstance(cause, BrokenRules) else [("", _sentence(item["type"], item, loc))]
        for key, message in rules:
            full = _join(_key(loc), key)
            yield Problem(full, _where(full, file, variables), message)


def _sentence(kind: str, item: Mapping[str, Any], loc: _Loc) -> str:
    if kind == "extra_forbidden":
        if _key(loc) in _MOVED:
            return _MOVED[_key(loc)]
        close = difflib.get_close_matches(str(loc[-1]), _known_keys(loc[:-1]), n=1)
        return "is not a setting: " + (f"did you mean {close[0]}?" if close else "remove it")
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(item["ctx"]["pattern"], "has characters or a length that are not allowed here")
    if kind == "value_error":
        return str(item["ctx"]["error"])
    if kind == "missing" and len(loc) == 1:
        return f"is missing: add the table [{loc[0]}]"
    return _SENTENCES.get(kind) or f"{item['msg']}: correct it"


def _known_keys(loc: _Loc) -> list[str]:
    kind: Any = _type_at(loc) if loc else Settings
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, Table) else []


def _key(loc: _Loc) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")


def _join(table: str, key: str) -> str:
    return f"{table}.{key}" if table and key else table or key


def _where(key: str, file: str, variables: Mapping[_Loc, str]) -> str:
    """The variable that set this key, the table around it or an unknown key's inside; else the file."""
    names = {_key(loc): name for loc, name in variables.items()}
    around = [name for name in names if _within(key, name)]
    inside = [name for name in names if _within(name, key)] if key not in Settings.model_fields else []
    found = max(around, key=len, default=None) or min(inside, default=None)
    return file if found is None or not key else f"environment variable {names[found]}"


def _within(key: str, table: str) -> bool:
    return key == table or key.startswith((f"{table}.", f"{table}["))
