"""Reading the configuration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance import config
from appliance.errors import ConfigError
from appliance.paths import DEVELOPMENT_CONFIG


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "depotbox.toml"
    file.write_text(text)
    return file


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "[web]\nport = 1111\n[mqtt]\nport = 2222\n")
    settings = config.load(file, {"DEPOTBOX_WEB__PORT": "3333"})
    assert (settings.web.port, settings.mqtt.port) == (3333, 2222)


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "[web]\nport = 1111\n")
    assert config.load(environ={"DEPOTBOX_CONFIG": str(file)}).web.port == 1111


def test_a_relative_data_folder_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    assert config.load(written(tmp_path, '[storage]\ndata_dir = "x"\n'), {}).storage.data_dir == str(tmp_path / "x")


def test_a_relative_data_folder_of_the_environment_is_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert config.load(environ={"DEPOTBOX_STORAGE__DATA_DIR": "x"}).storage.data_dir == str(tmp_path / "x")


def entered(tmp_path: Path, text: str) -> dict[str, str]:
    """What a person entered at the set-up of a box; returns the environment that finds it."""
    (tmp_path / "depot.toml").write_text(text)
    return {"DEPOTBOX_STORAGE__DATA_DIR": str(tmp_path)}


def test_what_was_entered_at_the_set_up_wins_over_defaults_and_the_development_file(tmp_path: Path) -> None:
    environ = entered(tmp_path, '[depot]\nname = "Leeds"\n[mail]\nport = 587\n')
    for settings in (config.load(written(tmp_path, ""), environ), config.load(DEVELOPMENT_CONFIG, environ)):
        assert (settings.depot.name, settings.mail.port) == ("Leeds", 587)
        assert settings.source("depot", "name") == str(tmp_path / "depot.toml")
        assert settings.own == (tmp_path / "depot.toml").read_bytes()
    assert config.load(DEVELOPMENT_CONFIG, environ).depot.currency == "GBP"  # not entered: as before


def test_the_configuration_and_the_environment_win_over_what_was_entered(tmp_path: Path) -> None:
    environ = entered(tmp_path, '[depot]\nname = "Leeds"\ncode = "LDS"\n')
    file = written(tmp_path, '[depot]\nname = "York"\n')
    settings = config.load(file, environ | {"DEPOTBOX_DEPOT__CODE": "ENV"})
    assert (settings.depot.name, settings.depot.code) == ("York", "ENV")
    assert settings.source("depot", "name") == str(file)
    assert settings.source("depot", "code") == "DEPOTBOX_DEPOT__CODE"
    assert settings.source("depot", "units") == ""


@pytest.mark.parametrize("text", ["[web]\nport = 1\n", "[depot]\ncode = 1\n", "depot", '[depot]\nnane = "x"\n'])
def test_a_wrong_own_configuration_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"depot\.toml"):
        config.load(written(tmp_path, ""), entered(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[wbe]\n", "[wbe]: unknown key; did you mean web?"),
        ("web = 1\n", "web = 1: expected a section [web]"),
        ("[web]\nport = 0\n", "web.port = 0: expected 1 to 65535"),
        ("[web]\nport = 65536\n", "web.port = 65536: expected 1 to 65535"),
        ("[mqtt]\ntls_port = -1\n", "mqtt.tls_port = -1: expected 0 to 65535"),
        (f"[web]\nport = {2**70}\n", f"web.port = {2**70}: expected 1 to 65535"),
        ("[web]\nport = true\n", "web.port = True: expected int, got bool"),
        ('[web]\nhost = "0.0.0.0"\n', "web.host = '0.0.0.0': expected 127.0.0.1 or ::1 or localhost"),
        ('[depot]\ncode = "depot"\n', "depot.code = 'depot': expected str matching regex"),
        ("[mail]\npassword = 1234\n", "mail.password = ********: expected str, got int"),
    ],
)
def test_a_wrong_value_names_file_key_value_and_what_was_expected(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(said)) as error:
        config.load(file, {})
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("DEPOTBOX_WEB__PORT", "eighty", "environment variable DEPOTBOX_WEB__PORT: web.port = 'eighty': expected int"),
        ("DEPOTBOX_WEB__PROT", "80", "web.prot = '80': unknown key; did you mean port?"),
        ("DEPOTBOX_WBE__PORT", "80", "environment variable DEPOTBOX_WBE__PORT: unknown key; did you mean web?"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        config.load(environ={variable: value})


@pytest.mark.parametrize(
    "host",
    ["box.example:8883", "10.0.0.7:8883", "...", "box..example", "-box", "box-", "box.example.", ":", "a" * 64, "1.2.3",
     "a." * 127 + "aa", "256.0.0.1", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1"],
)  # fmt: skip
def test_a_host_that_no_vehicle_can_reach_is_said_in_a_line(host: str) -> None:
    for key in ("public_host", "tls_host"):
        with pytest.raises(ConfigError, match=re.escape(f"mqtt.{key} = '{host}': expected a name or an address")):
            config.load(environ={f"DEPOTBOX_MQTT__{key.upper()}": host})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LocalHost"])
def test_a_public_host_that_is_this_machine_alone_is_only_for_a_machine_that_listens_to_itself(host: str) -> None:
    with pytest.raises(ConfigError, match="not this machine alone"):
        config.load(environ={"DEPOTBOX_MQTT__PUBLIC_HOST": host, "DEPOTBOX_MQTT__TLS_HOST": ""})
    assert config.load(environ={"DEPOTBOX_MQTT__PUBLIC_HOST": host, "DEPOTBOX_MQTT__TLS_HOST": "127.0.0.1"})


@pytest.mark.parametrize("host", ["box.example", "box", "10.0.0.7", "2001:db8::7", "a" * 63, "4g.example", "1.2.3.x4"])
def test_any_name_or_address_is_a_public_host(host: str) -> None:
    assert config.load(environ={"DEPOTBOX_MQTT__PUBLIC_HOST": host}).mqtt.public_host == host


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("silent_s", "60", "limits.silent_s = 60: expected more than limits.stale_s, which is 60"),
        ("stale_s", "900", "limits.silent_s = 600: expected more than limits.stale_s, which is 900"),
        ("asleep_s", "599", "limits.asleep_s = 599: expected no less than limits.silent_s, which is 600"),
        ("stale_s", "0", "limits.stale_s = '0': expected float > 0"),
        ("parked_s", "0", "limits.parked_s = '0': expected float > 0"),
        ("accuracy_m", "inf", "limits.accuracy_m = 'inf': expected float <= 100000"),
        ("fixes_per_s", "nan", "limits.fixes_per_s = 'nan': expected float"),
    ],
)
def test_thresholds_that_contradict_each_other_are_said_in_a_line(key: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        config.load(environ={f"DEPOTBOX_LIMITS__{key.upper()}": value})


def test_two_listeners_on_one_port_are_said_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match=r"both mqtt\.port and mqtt\.tls_port want the same port"):
        config.load(environ={"DEPOTBOX_MQTT__PORT": "18752", "DEPOTBOX_MQTT__TLS_PORT": "18752"})
    config.load(environ={"DEPOTBOX_MQTT__TLS_PORT": "0", "DEPOTBOX_MQTT__CERTIFICATE_PORT": "0"})


def test_variables_that_are_no_keys_are_left_alone() -> None:
    assert config.load(environ={"DEPOTBOX_NATIVE": "/opt", "DEPOTBOX_TRACEBACK": "1", "PATH": "/bin"})


def test_every_key_has_a_description() -> None:
    assert [key for _, key, _, text in config.effective(config.load(environ={})) if not text] == []
