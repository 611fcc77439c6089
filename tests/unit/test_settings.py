"""The settings: what is accepted, what is refused, and how it is said."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import ValidationError

from settings import Settings, SettingsError, load

KEY = "0123456789abcdefghijklmnopqrstuv"
BOT = "st-00000000-0000-5000-8000-000000000001"
OTHER_BOT = "st-00000000-0000-5000-8000-000000000002"
APP = "11111111-2222-3333-4444-555555555555"
TENANT = "7e4a0000-0000-4000-8000-000000000001"
STORAGE = f'[storage]\nurl = "sqlite:///herald.db"\nencryption_key = "{KEY}"\n'
SLACK = '[bots.slack]\nsigning_secret = "shh"\nbot_token = "xoxb-1"\n'
TEAMS = f'[bots.msteams]\napp_id = "{APP}"\napp_password = "pw"\ntenant_id = "{TENANT}"\n'


def bot(channels: str, *, id_: str = BOT, clients: str = "") -> str:
    return f'[[bots]]\nid = "{id_}"\nname = "People team"\n{channels}{clients}'


def client(rest: str = 'secret = "0123456789abcdef"\n', *, id_: str = "cs-1") -> str:
    return f'[[bots.clients]]\nclient_id = "{id_}"\n{rest}'


class Reader:
    """Writes a settings file and reads it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "herald.toml"

    def __call__(self, text: str, **environ: str) -> Settings:
        self.path.write_text(text, encoding="utf-8")
        return load(self.path, environ)

    def refused(self, text: str, **environ: str) -> str:
        with pytest.raises(SettingsError) as caught:
            self(text, **environ)
        return str(caught.value)


@pytest.fixture(name="read")
def _read(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


class TestShape:
    def test_defaults(self, read: Reader) -> None:
        """A file with the two storage keys is enough; everything else has its documented default."""
        settings = read(STORAGE)

        assert (
            settings.server.host,
            settings.server.port,
            settings.server.drain,
            settings.server.shutdown_grace_seconds,
        ) == ("127.0.0.1", 8080, True, 10.0)
        assert (
            settings.pace.teams_requests_per_second,
            settings.pace.teams_in_flight,
            settings.pace.slack_posts_per_second,
            settings.pace.slack_burst,
            settings.pace.slack_in_flight,
        ) == (48.0, 32, 4.0, 30, 8)
        assert (
            settings.delivery.deadline_hours,
            settings.delivery.max_attempts,
            settings.retention.days,
            settings.retention.idempotency_days,
        ) == (24.0, 5, 90, 30)
        assert (
            settings.limits.body_bytes,
            settings.limits.identities,
            settings.limits.requests_per_minute,
            settings.limits.requests_per_hour,
        ) == (8 * 1024 * 1024, 1000, 600, 18_000)

    def test_frozen(self, read: Reader) -> None:
        """The settings never change after they were read."""
        settings = read(STORAGE)

        with pytest.raises(ValidationError, match="frozen"):
            settings.server.port = 1

    def test_example(self) -> None:
        """The example file is valid as it stands, once its variables are set."""
        names = ("TEAMS_APP_PASSWORD", "SLACK_SIGNING_SECRET", "SLACK_CLIENT_SECRET", "PAYROLL_SECRET")
        environ = dict.fromkeys(names, "0123456789abcdef") | {"HERALD_ENCRYPTION_KEY": KEY}

        settings = load(Path(__file__).parents[2] / "herald.example.toml", environ)

        assert [bot.name for bot in settings.bots] == ["People team"]

    def test_example_names_every_key(self) -> None:
        """The example file mentions every key that exists."""
        text = (Path(__file__).parents[2] / "herald.example.toml").read_text(encoding="utf-8")
        tables = {name: field.annotation for name, field in Settings.model_fields.items()}
        keys = {
            key
            for name in ("server", "storage", "endpoints", "pace", "delivery", "retention", "limits")
            for key in getattr(tables[name], "model_fields", {})
        }

        assert set() == {key for key in keys if key not in text}


class TestStrictness:
    @pytest.mark.parametrize(
        ("line", "key", "remedy"),
        [
            ('port = "8080"', "server.port", "must be a whole number"),
            ("port = 8080.0", "server.port", "must be a whole number"),
            ("port = 65536", "server.port", "65535"),
            ("port = true", "server.port", "must be a whole number"),
            ('drain = "yes"', "server.drain", "must be true or false"),
            ("drain = 1", "server.drain", "must be true or false"),
            ("host = 5", "server.host", "must be text"),
            ('shutdown_grace_seconds = "10"', "server.shutdown_grace_seconds", "must be a number"),
        ],
    )
    def test_no_coercion(self, read: Reader, line: str, key: str, remedy: str) -> None:
        """A value of another type is refused with its key and the right way to write it, never converted."""
        message = read.refused(f"[server]\n{line}\n{STORAGE}")

        assert f"{read.path}: {key}: " in message
        assert remedy in message

    def test_unknown_key(self, read: Reader) -> None:
        """An unknown key is refused, with the known key it resembles."""
        assert "server.prot: is not a setting: did you mean port?" in read.refused(f"[server]\nprot = 1\n{STORAGE}")

    def test_unknown_key_deep(self, read: Reader) -> None:
        """Unknown keys are refused at every level."""
        text = STORAGE + bot(SLACK, clients=client('secret = "0123456789abcdef"\nsecrt = "x"\n'))

        assert "bots[0].clients[0].secrt: is not a setting: did you mean secret?" in read.refused(text)

    def test_unknown_section(self, read: Reader) -> None:
        """A misspelt section is refused."""
        assert "bot: is not a setting: did you mean bots?" in read.refused(f"{STORAGE}\n[[bot]]\nid = 1\n")

    def test_moved(self, read: Reader) -> None:
        """A key of an earlier version is refused with the names of those that took its place."""
        message = read.refused(f"[delivery]\nretention_days = 30\n{STORAGE}")

        assert "delivery.retention_days: is retention.days now, with retention.idempotency_days beside it" in message

    def test_idempotency_is_promised(self, read: Reader) -> None:
        """Callers are promised thirty days, so nobody can set fewer."""
        message = read.refused(f"[retention]\nidempotency_days = 29\n{STORAGE}")

        assert "retention.idempotency_days" in message

    def test_all_problems_at_once(self, read: Reader) -> None:
        """One error lists every problem, so one look is enough."""
        message = read.refused('[server]\nport = "x"\nprot = 1\n[storage]\nurl = "mysql://x"\n')

        assert message.startswith("The settings have 4 problems:")
        assert message.count(str(read.path)) == 4
        assert "storage.encryption_key: is missing" in message

    def test_missing_table(self, read: Reader) -> None:
        """A missing section is named as the table to add."""
        assert "storage: is missing: add the table [storage]" in read.refused("")

    @pytest.mark.parametrize(("content", "message"), [(b"[server", "is not valid TOML"), (b"\xff", "is not UTF-8")])
    def test_broken_file(self, tmp_path: Path, content: bytes, message: str) -> None:
        """A file that cannot be parsed says so with its name."""
        path = tmp_path / "broken.toml"
        path.write_bytes(content)

        with pytest.raises(SettingsError, match=message) as caught:
            load(path, {})

        assert str(path) in str(caught.value)

    def test_no_file(self, tmp_path: Path) -> None:
        """A file that is not there says how to make one."""
        with pytest.raises(SettingsError, match=r"create it from herald\.example\.toml"):
            load(tmp_path / "none.toml", {})


class TestEnvironment:
    def test_overrides_file(self, read: Reader) -> None:
        """A variable wins over the file."""
        settings = read(f"[server]\nport = 1\n{STORAGE}", HERALD_SERVER__PORT="9000")

        assert settings.server.port == 9000

    def test_alone(self) -> None:
        """The environment alone can hold everything."""
        slack = {"signing_secret": "s", "bot_token": "xoxb-1"}
        settings = load(
            None,
            {
                "HERALD_STORAGE__URL": "postgresql://u:p@h/d",
                "HERALD_STORAGE__ENCRYPTION_KEY": KEY,
                "HERALD_BOTS": json.dumps([{"id": BOT, "name": "n", "slack": slack}]),
                "HERALD_BOTS__0__CLIENTS__0__CLIENT_ID": "cs-1",
                "HERALD_BOTS__0__CLIENTS__0__SECRET": "[0123456789abcdef",
                "HERALD_PACE__TEAMS_REQUESTS_PER_SECOND": "12.5",
                "HERALD_ENDPOINTS__TEAMS_SERVICE_URLS": '["https://smba.example.com"]',
            },
        )

        assert (settings.bots[0].id, settings.bots[0].clients[0].client_id) == (BOT, "cs-1")
        assert settings.pace.teams_requests_per_second == 12.5
        assert settings.endpoints.teams_service_urls == ("https://smba.example.com",)

    @pytest.mark.parametrize(("text", "expected"), [("true", True), ("false", False)])
    def test_booleans(self, read: Reader, text: str, expected: bool) -> None:
        """Only true and false are booleans."""
        assert expected is read(STORAGE, HERALD_SERVER__DRAIN=text).server.drain

    @pytest.mark.parametrize("text", ["yes", "1", "True", "on", ""])
    def test_other_booleans(self, read: Reader, text: str) -> None:
        """Everything else is refused with the variable's name."""
        message = read.refused(STORAGE, HERALD_SERVER__DRAIN=text)

        assert "environment variable HERALD_SERVER__DRAIN: server.drain: must be true or false" in message

    @pytest.mark.parametrize("text", ["80 80", "0x50", "8_080", "1e3", " 1"])
    def test_odd_numbers(self, read: Reader, text: str) -> None:
        """A number is digits and nothing else."""
        assert "must be a whole number" in read.refused(STORAGE, HERALD_SERVER__PORT=text)

    def test_unknown_variable(self, read: Reader) -> None:
        """A variable that sets no key is refused like an unknown key."""
        message = read.refused(STORAGE, HERALD_SERVER__PROT="1", HERALD_NONE__X="1")

        assert "environment variable HERALD_SERVER__PROT: server.prot: is not a setting" in message
        assert "environment variable HERALD_NONE__X: none: is not a setting" in message

    def test_variables_of_others(self, read: Reader) -> None:
        """Variables that name no section are left alone: secrets live there."""
        assert read(STORAGE, HERALD_ENCRYPTION_KEY="x", HERALDIC__X="y", PATH="/bin") == read(STORAGE)


class TestSecrets:
    def test_env_reference(self, read: Reader) -> None:
        """env:NAME is replaced by that variable."""
        settings = read(STORAGE.replace(KEY, "env:MY_KEY"), MY_KEY=KEY * 2)

        assert [key.get_secret_value() for key in settings.storage.encryption_key] == [KEY * 2]

    def test_file_reference(self, read: Reader) -> None:
        """file:PATH is read relative to the settings file, without the line end."""
        (read.path.parent / "key").write_text(KEY + "\n", encoding="utf-8")

        settings = read(STORAGE.replace(KEY, "file:key"))

        assert settings.storage.encryption_key[0].get_secret_value() == KEY

    def test_missing_variable(self, read: Reader) -> None:
        """A reference to an unset variable names key, file, variable and remedy."""
        message = read.refused(STORAGE.replace(KEY, "env:MY_KEY"))

        assert f"{read.path}: storage.encryption_key[0]: environment variable 'MY_KEY' is not set" in message

    def test_missing_file(self, read: Reader) -> None:
        """A reference to a file that is not there names it."""
        assert "none.pem cannot be read (No such file or directory)" in read.refused(
            STORAGE.replace(KEY, "file:none.pem")
        )

    def test_empty_file(self, read: Reader) -> None:
        """An empty secret file is refused."""
        (read.path.parent / "key").write_text("\n", encoding="utf-8")

        assert "is empty: write the secret into it" in read.refused(STORAGE.replace(KEY, "file:key"))

    def test_never_shown(self, read: Reader) -> None:
        """Neither the object's text nor an error holds a secret's value."""
        text = STORAGE.replace("sqlite:///herald.db", "postgresql://u:hunter2@h/d") + bot(
            TEAMS + SLACK, clients=client()
        )
        shown = repr(read(text)) + str(read(text))
        refused = read.refused(
            text.replace(KEY, "hunter3") + '[server]\nport = "hunter4"\n', HERALD_PACE__SLACK_BURST="hunter5"
        )

        assert [word for word in (KEY, "hunter2", "xoxb-1", "0123456789abcdef") if word in shown] == []
        assert "hunter" not in refused
        assert "xoxb" not in refused

    def test_key_rotation(self, read: Reader) -> None:
        """Several encryption keys keep their order: the first one encrypts."""
        settings = read(STORAGE.replace(f'"{KEY}"', f'["{KEY[::-1]}", "{KEY}"]'))

        assert [key.get_secret_value() for key in settings.storage.encryption_key] == [KEY[::-1], KEY]

    @pytest.mark.parametrize("key", ['"short"', "[]", f'["{KEY}", "short"]'])
    def test_weak_encryption_key(self, read: Reader, key: str) -> None:
        """No key, or one below 32 characters anywhere, is refused."""
        assert "storage.encryption_key: " in read.refused(STORAGE.replace(f'"{KEY}"', key))


class TestServer:
    @pytest.mark.parametrize(
        ("lines", "url"),
        [
            ("", "http://127.0.0.1:8080"),
            ('host = "0.0.0.0"\nport = 9\n', "http://localhost:9"),
            ('host = "::1"\n', "http://[::1]:8080"),
            ('public_url = "https://herald.example.com/"\n', "https://herald.example.com"),
        ],
    )
    def test_public_url(self, read: Reader, lines: str, url: str) -> None:
        """The public address is given, or follows from host and port; it has no trailing slash."""
        assert url == read(f"[server]\n{lines}{STORAGE}").server.public_url

    @pytest.mark.parametrize(
        "url", ["herald", "ftp://h", "https://u@h", "https://h?x", "https://h#x", "https://", "https://a b"]
    )
    def test_bad_public_url(self, read: Reader, url: str) -> None:
        """An address with a user, a query, no host or another scheme is refused."""
        assert "server.public_url: " in read.refused(f'[server]\npublic_url = "{url}"\n{STORAGE}')

    def test_any_port(self, read: Reader) -> None:
        """With port 0 the default public address follows the port that was found."""
        settings = read(f"[server]\nport = 0\n{STORAGE}").listening_on(4711)

        assert (settings.server.port, settings.server.public_url) == (4711, "http://127.0.0.1:4711")

    def test_given_url_stays(self, read: Reader) -> None:
        """A public address that was given does not follow the port."""
        settings = read(f'[server]\nport = 0\npublic_url = "https://h.example"\n{STORAGE}').listening_on(4711)

        assert settings.server.public_url == "https://h.example"

    def test_trusted_proxies(self, read: Reader) -> None:
        """Addresses and networks of both families, in the file or a variable; an address is a network of one."""
        text = f'{STORAGE}[server]\ntrusted_proxies = ["10.0.0.5", "fd00::/8"]\n'

        assert [str(each) for each in read(text).server.trusted_proxies] == ["10.0.0.5/32", "fd00::/8"]
        given = read(text, HERALD_SERVER__TRUSTED_PROXIES='["192.0.2.0/24"]').listening_on(9000)
        assert [str(each) for each in given.server.trusted_proxies] == ["192.0.2.0/24"]
        assert read(STORAGE).server.trusted_proxies == ()

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ('["proxy.example.com"]', "must list addresses or networks"),
            ('["10.0.0.5/8"]', "must list addresses or networks"),
            ("[10]", "must list addresses or networks"),
            ('"10.0.0.5"', "server.trusted_proxies"),
            ('["0.0.0.0/0"]', "must not trust every address"),
            ('["::/0"]', "must not trust every address"),
        ],
    )
    def test_bad_proxies(self, read: Reader, value: str, message: str) -> None:
        """What is no network is refused, and so is a network of everybody, who could then write any address."""
        assert message in read.refused(f"{STORAGE}[server]\ntrusted_proxies = {value}\n")


class TestStorage:
    def test_sqlite_path(self, read: Reader) -> None:
        """A relative SQLite path is relative to the settings file, not to the shell."""
        assert f"sqlite:///{read.path.parent}/herald.db" == read(STORAGE).storage.url.get_secret_value()

    def test_absolute_path(self, read: Reader) -> None:
        """An absolute SQLite path stays as it is."""
        settings = read(STORAGE.replace("sqlite:///", "sqlite:////srv/"))

        assert settings.storage.url.get_secret_value() == "sqlite:////srv/herald.db"

    @pytest.mark.parametrize("url", ["mysql://h/d", "sqlite://", "sqlite:///", "sqlite:///:memory:", "herald.db"])
    def test_other_databases(self, read: Reader, url: str) -> None:
        """Other engines and databases in memory are refused."""
        assert "must be sqlite:///FILE or postgresql://" in read.refused(STORAGE.replace("sqlite:///herald.db", url))


class TestBots:
    @pytest.mark.parametrize(
        "id_", ["st-1", "cs-00000000-0000-5000-8000-000000000001", "st-00000000-0000-4000-8000-000000000001", ""]
    )
    def test_id(self, read: Reader, id_: str) -> None:
        """A bot id has the shape that existing clients check."""
        assert "bots[0].id: must be st- and a UUID" in read.refused(STORAGE + bot(SLACK, id_=id_))

    def test_channel(self, read: Reader) -> None:
        """A bot has at least one channel."""
        assert "bots[0]: has no channel" in read.refused(STORAGE + bot(""))

    @pytest.mark.parametrize(
        ("second", "key"),
        [
            (bot(SLACK.replace("shh", "b"), id_=BOT.upper().replace("ST-", "st-")), "bots[1].id"),
            (bot(SLACK, id_=OTHER_BOT), "bots[1].slack.signing_secret"),
            (bot(TEAMS.replace(APP, APP.upper()), id_=OTHER_BOT), "bots[1].msteams.app_id"),
            (
                bot('[bots.slack]\nsigning_secret = "b"\nclient_id = "1.2"\nclient_secret = "x"\n', id_=OTHER_BOT),
                "bots[1].slack.client_id",
            ),
            (bot(SLACK.replace("shh", "b"), id_=OTHER_BOT, clients=client()), "bots[1].clients[0].client_id"),
            ('[[clients]]\nclient_id = "cs-1"\nsecret = "0123456789abcdef"\n', "clients[0].client_id"),
        ],
    )
    def test_nothing_twice(self, read: Reader, second: str, key: str) -> None:
        """No bot id, platform app or client id stands twice."""
        slack = SLACK + 'client_id = "1.2"\n'
        first = bot(TEAMS + slack, clients=client())

        assert f"{key}: " in read.refused(STORAGE + first + second)

    def test_two_bots(self, read: Reader) -> None:
        """Bots with their own apps and clients stand side by side."""
        other = bot(
            SLACK.replace("shh", "b"), id_=OTHER_BOT, clients=client('secret = "fedcba9876543210"\n', id_="cs-2")
        )

        assert [b.id for b in read(STORAGE + bot(TEAMS, clients=client()) + other).bots] == [BOT, OTHER_BOT]


class TestTeams:
    @pytest.mark.parametrize(
        ("lines", "key"),
        [
            (f'app_id = ""\napp_password = "p"\ntenant_id = "{TENANT}"', "app_id"),
            (f'app_id = "My bot"\napp_password = "p"\ntenant_id = "{TENANT}"', "app_id"),
            (f'app_id = "{APP}"\napp_password = "p"', "tenant_id"),
            (f'app_id = "{APP}"\ntenant_id = "{TENANT}"', "app_password"),
            (
                f'app_id = "{APP}"\ntenant_id = "{TENANT}"\napp_password = ""',
                "app_password",
            ),
            (f'app_id = "{APP}"\napp_type = "MultiTenant"', "app_password"),
            (f'app_id = "{APP}"\napp_type = "UserAssignedMSI"\napp_password = "p"', "app_password"),
            (f'app_id = "{APP}"\napp_type = "Other"\napp_password = "p"', "app_type"),
            (
                f'app_id = "{APP}"\ntenant_id = "{TENANT}"\ncertificate_thumbprint = "{"A" * 40}"',
                "certificate_thumbprint",
            ),
            (f'app_id = "{APP}"\ntenant_id = "../x"\napp_password = "p"', "tenant_id"),
        ],
    )
    def test_refused(self, read: Reader, lines: str, key: str) -> None:
        """Combinations that Entra has no token for are refused; an empty app id would switch authentication off."""
        assert f"bots[0].msteams.{key}: " in read.refused(STORAGE + bot(f"[bots.msteams]\n{lines}\n"))

    @pytest.mark.parametrize(
        "lines",
        [
            f'app_password = "p"\ntenant_id = "{TENANT}"',
            'app_password = "p"\napp_type = "MultiTenant"',
            'app_type = "UserAssignedMSI"',
            f'tenant_id = "{TENANT}"\ncertificate_file = "bot.pem"\ncertificate_thumbprint = "{"A" * 40}"',
        ],
    )
    def test_accepted(self, read: Reader, lines: str) -> None:
        """Password, certificate and managed identity each stand alone."""
        (read.path.parent / "bot.pem").write_text("pem", encoding="utf-8")

        assert read(STORAGE + bot(f'[bots.msteams]\napp_id = "{APP}"\n{lines}\n')).bots[0].msteams is not None


class TestSlack:
    def test_oauth(self, read: Reader) -> None:
        """With client id and secret, workspaces install the app themselves; scopes have a default."""
        text = STORAGE + bot('[bots.slack]\nsigning_secret = "s"\nclient_id = "1.2"\nclient_secret = "c"\n')
        slack = read(text).bots[0].slack

        assert slack is not None
        assert (slack.uses_oauth, slack.scopes) == (True, ("chat:write", "users:read", "users:read.email"))

    def test_bot_token(self, read: Reader) -> None:
        """A bot token stands instead of OAuth."""
        slack = read(STORAGE + bot(SLACK)).bots[0].slack

        assert slack is not None
        assert slack.uses_oauth is False

    @pytest.mark.parametrize(
        ("lines", "key"),
        [
            ('bot_token = "xoxb-1"', "signing_secret"),
            ('signing_secret = "s"', "client_id"),
            ('signing_secret = "s"\nclient_id = "1.2"', "client_id"),
            ('signing_secret = "s"\nbot_token = "xoxp-1"', "bot_token"),
            ('signing_secret = "s"\nbot_token = "xoxb-1"\nscopes = ["users:read"]', "scopes"),
            ('signing_secret = "s"\nbot_token = "xoxb-1"\nscopes = ["Chat Write"]', "scopes[0]"),
        ],
    )
    def test_refused(self, read: Reader, lines: str, key: str) -> None:
        """An app that cannot verify, speak or send is refused."""
        assert f"bots[0].slack.{key}: " in read.refused(STORAGE + bot(f"[bots.slack]\n{lines}\n"))


class TestClients:
    @pytest.mark.parametrize(
        ("lines", "key"),
        [
            ("", "secret"),
            ('secret = "fifteen-letters"\n', "secret"),
            ('algorithm = "RS256"\n', "public_key"),
            ('algorithm = "none"\nsecret = "0123456789abcdef"\n', "algorithm"),
            ('public_key = "not a key"\n', "public_key"),
            ('secret = "0123456789abcdef"\nenforce_jti = "true"\n', "enforce_jti"),
            ('secrets = [{ value = "short" }]\n', "secrets[0].value"),
            ('secrets = [{ value = "0123456789abcdef", until = 2030-01-01T00:00:00 }]\n', "secrets[0].until"),
        ],
    )
    def test_refused(self, read: Reader, lines: str, key: str) -> None:
        """Each algorithm has its kind of key, and a shared secret has at least 16 characters."""
        assert f"bots[0].clients[0].{key}: " in read.refused(STORAGE + bot(SLACK, clients=client(lines)))

    def test_public_key(self, read: Reader) -> None:
        """RS256 takes an RSA public key from a file."""
        key = rsa.generate_private_key(65537, 2048).public_key()
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (read.path.parent / "pub.pem").write_bytes(pem)

        settings = read(STORAGE + bot(SLACK, clients=client('algorithm = "RS256"\npublic_key = "file:pub.pem"\n')))

        assert pem.decode().strip() == settings.bots[0].clients[0].public_key

    def test_other_public_key(self, read: Reader) -> None:
        """A key that is not RSA is refused."""
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (read.path.parent / "pub.pem").write_bytes(pem)
        lines = 'algorithm = "RS256"\npublic_key = "file:pub.pem"\n'

        assert "is not a strong RSA key" in read.refused(STORAGE + bot(SLACK, clients=client(lines)))

    def test_public_keys(self, read: Reader) -> None:
        """S08: public keys rotate as secrets do, each until its own end."""
        for name in ("old", "new"):
            key = rsa.generate_private_key(65537, 2048).public_key()
            pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            (read.path.parent / f"{name}.pem").write_bytes(pem)
        keys = '[{ value = "file:old.pem", until = 2030-01-01T00:00:00Z }, { value = "file:new.pem" }]'
        lines = f'algorithm = "RS512"\npublic_keys = {keys}\n'
        end = datetime(2030, 1, 1, tzinfo=UTC)

        caller = read(STORAGE + bot(SLACK, clients=client(lines))).bots[0].clients[0]

        assert len(caller.valid_public_keys(end - timedelta(seconds=1))) == 2
        assert caller.valid_public_keys(end) == (pem.decode().strip(),)
        assert list(caller.ended(end)) == [("public_keys[0]", end)]
        assert list(caller.ended(end - timedelta(seconds=1))) == []

    def test_rotation(self, read: Reader) -> None:
        """A secret with an end opens the door until then, and no longer."""
        old = '{ value = "old-0123456789abcdef", until = 2030-01-01T00:00:00Z }'
        lines = f'secret = "new-0123456789abcdef"\nsecrets = [{old}]\n'
        caller = read(STORAGE + bot(SLACK, clients=client(lines))).bots[0].clients[0]
        end = datetime(2030, 1, 1, tzinfo=UTC)

        assert len(caller.valid_secrets(end - timedelta(seconds=1))) == 2
        assert [s.get_secret_value() for s in caller.valid_secrets(end)] == ["new-0123456789abcdef"]


class TestWeakSecrets:
    @pytest.mark.parametrize(
        "secret",
        [
            "changemechangeme",
            "CHANGE_ME_BEFORE_PRODUCTION_USE",
            "your-secret-goes-here-please",
            "Change-Me-Change-Me!",
            "your-256-bit-secret",
            "a-string-secret-at-least-256-bits-long",
            "super secret password 123456",
            "this is a placeholder",
            "env:PAYROLL_SECRET",
            "${PAYROLL_SECRET}",
            "<the shared secret of payroll>",
            "xxxxxxxxxxxxxxxxxxxxxxxx",
            "0000000000000000",
            "abcabcabcabcabcabcabcabc",
        ],
    )
    def test_caller(self, read: Reader, secret: str) -> None:
        """S09: a client's secret that stands for one, or is quickly guessed, is refused by its key and never shown."""
        (read.path.parent / "value").write_text(secret, encoding="utf-8")
        for lines, key in (
            ('secret = "file:value"\n', "secret"),
            ('secrets = [{ value = "file:value" }]\n', "secrets[0].value"),
        ):
            message = read.refused(STORAGE + bot(SLACK, clients=client(lines)))

            assert f"bots[0].clients[0].{key}: " in message
            assert secret not in message.replace(str(read.path), "")

    @pytest.mark.parametrize("key", ["k" * 40, "changeme" * 5, "an example: change this encryption key", "01" * 20])
    def test_encryption_key(self, read: Reader, key: str) -> None:
        """A key that seals tokens is no placeholder either."""
        assert "storage.encryption_key: " in read.refused(STORAGE.replace(KEY, key))

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("signing_secret", "your-signing-secret"),
            ("signing_secret", "simulator-slack-signing-secret"),
            ("client_secret", "CHANGEME"),
            ("client_secret", "simulator-slack-client-secret"),
            ("bot_token", "xoxb-your-token"),
            ("bot_token", "xoxb-simulator-default-bot-token"),
        ],
    )
    def test_slack(self, read: Reader, key: str, value: str) -> None:
        """A platform's secret is no placeholder, and not the simulator's unless the platform is simulated."""
        whole = {"signing_secret": "f0e1d2c3b4a5968778695a4b3c2d1e0f", "client_id": "1.2", "client_secret": "c7a8"}
        lines = "".join(f'{name} = "{text}"\n' for name, text in {**whole, key: value}.items())
        text = STORAGE + bot(f"[bots.slack]\n{lines}")
        simulated = '[endpoints]\ndangerously_allow_http_endpoints = true\nslack_api = "http://127.0.0.1:1/api"\n'
        elsewhere = simulated.replace("127.0.0.1", "slack.example.com")

        assert f"bots[0].slack.{key}: " in read.refused(text)
        assert f"bots[0].slack.{key}: " in read.refused(text + elsewhere)
        assert read(text + simulated).endpoints.are_simulated

    def test_teams(self, read: Reader) -> None:
        """So is the password of a Teams app."""
        text = STORAGE + bot(TEAMS.replace('"pw"', '"simulator-teams-secret"'))

        assert "bots[0].msteams.app_password: is the simulator's" in read.refused(text)

    def test_shared(self, read: Reader) -> None:
        """Two clients never have one secret, and none has the key that seals."""
        twin = '[[clients]]\nclient_id = "cs-2"\nsecrets = [{ value = "0123456789abcdef" }]\n'

        message = read.refused(STORAGE + bot(SLACK, clients=client()) + twin)
        sealing = read.refused(STORAGE + bot(SLACK, clients=client(f'secret = "{KEY}"\n')))

        assert "clients[0].secrets[0].value: is another client's secret as well" in message
        assert "bots[0].clients[0].secret: is storage.encryption_key as well" in sealing


class TestDecryptionKeys:
    def pem(self, bits: int = 2048) -> str:
        key = rsa.generate_private_key(65537, bits)
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def test_several(self, read: Reader) -> None:
        """Keys for encrypted tokens stand in a list, are named k-…, come from files and are not shown."""
        (read.path.parent / "one.pem").write_text(self.pem(), encoding="utf-8")
        text = "".join(f'[[decryption_keys]]\nkid = "k-{n}"\nprivate_key = "file:one.pem"\n' for n in (1, 2))

        found = read(STORAGE + text)

        assert [key.kid for key in found.decryption_keys] == ["k-1", "k-2"]
        assert "PRIVATE" not in repr(found)
        assert "decryption_keys[1].kid: is used twice" in read.refused(STORAGE + text.replace("k-2", "k-1"))
        assert "decryption_keys[0].kid: must be k-" in read.refused(STORAGE + text.replace('"k-1"', '"1"'))

    def test_unusable(self, read: Reader) -> None:
        """A short key, one of another family, a public key and no key are refused."""
        curve = ec.generate_private_key(ec.SECP256R1())
        others = [
            self.pem(1024),
            curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
            "no key",
        ]
        for text in others:
            (read.path.parent / "one.pem").write_text(text, encoding="utf-8")

            message = read.refused(STORAGE + '[[decryption_keys]]\nkid = "k-1"\nprivate_key = "file:one.pem"\n')

            assert "decryption_keys[0].private_key: is not a" in message


class TestDangers:
    def test_named(self, read: Reader) -> None:
        """Every option called dangerous that is on can be named, and there is none by default."""
        assert read(STORAGE).dangers() == ()
        assert read(STORAGE + "[endpoints]\ndangerously_allow_http_endpoints = true\n").dangers() == (
            "endpoints.dangerously_allow_http_endpoints",
        )
