//! The ways in that libpq has: TLS in all its modes, password files, services.

use crate::support::postgres::{Cluster, binary, expect};
use sg::Kind;
use sg::postgres::{Conninfo, Session};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A server over TCP with TLS, whose certificate an authority of ours signed for `localhost`; and a
/// role that has to come over TLS with a password.
fn with_tls(directory: &Path) -> (Cluster, u16) {
    let run = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(directory)
            .output();
        expect(&output.unwrap(), "openssl");
    };
    let subject = ["-subj", "/CN=sg test authority", "-days", "2", "-nodes"];
    run(&[
        &[
            "req", "-x509", "-newkey", "rsa:2048", "-keyout", "ca.key", "-out", "ca.crt",
        ][..],
        &subject,
    ]
    .concat());
    run(&[
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
        "-subj",
        "/CN=localhost",
    ]);
    fs::write(directory.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    run(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        "server.crt",
    ]);
    // A list that calls the server's certificate back.
    fs::write(directory.join("index"), "").unwrap();
    fs::write(directory.join("number"), "01\n").unwrap();
    fs::write(
        directory.join("ca.conf"),
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ndefault_md=sha256\ncrlnumber=number\n",
    )
    .unwrap();
    let ca = [
        "ca", "-config", "ca.conf", "-keyfile", "ca.key", "-cert", "ca.crt",
    ];
    run(&[&ca[..], &["-revoke", "server.crt"]].concat());
    run(&[
        &ca[..],
        &["-gencrl", "-crldays", "2", "-out", "revoked.pem"],
    ]
    .concat());
    let mut cluster = Cluster::with(&["--encoding=UTF8", "--locale=C.UTF-8"], &[]);
    cluster.sql(
        "postgres",
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE clerk LOGIN PASSWORD 'se:cret'",
    );
    cluster.stop();
    for name in ["server.crt", "server.key"] {
        let path = cluster.data().join(name);
        fs::write(&path, fs::read(directory.join(name)).unwrap()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        cluster.give_to_server(&path);
    }
    let hba = cluster.data().join("pg_hba.conf");
    let rest = fs::read_to_string(&hba).unwrap();
    let rules = "hostssl all clerk all scram-sha-256\nhostnossl all clerk all reject\n";
    fs::write(&hba, format!("{rules}{rest}")).unwrap();
    let port = cluster.run_on_tcp(&["ssl=on"]);
    (cluster, port)
}

fn connect(text: &str) -> sg::Result<Session> {
    let info = Conninfo::resolve(Some(text), |name| {
        (name == "HOME").then(|| "/nonexistent".to_owned())
    })?;
    Session::connect(&info)
}

#[test]
fn every_sslmode_checks_what_libpq_checks() {
    let directory = crate::support::scratch();
    let (_cluster, port) = with_tls(directory.path());
    let ca = directory.path().join("ca.crt");
    let other = directory.path().join("server.csr");
    let base = format!("dbname=postgres user=clerk password=se:cret port={port}");
    let by_name = format!("{base} host=localhost hostaddr=127.0.0.1");
    let by_wrong_name = format!("{base} host=elsewhere hostaddr=127.0.0.1");
    let root = format!("sslrootcert={}", ca.display());
    for (text, works) in [
        (format!("{by_name} sslmode=disable"), false),
        (format!("{by_name} sslmode=allow"), true),
        (by_name.clone(), true),
        (format!("{by_name} sslmode=require"), true),
        (
            format!("{by_name} sslmode=require channel_binding=require"),
            true,
        ),
        (format!("{by_name} sslmode=verify-ca"), false),
        (format!("{by_name} sslmode=verify-ca {root}"), true),
        (format!("{by_wrong_name} sslmode=verify-ca {root}"), true),
        (format!("{by_name} sslmode=verify-full {root}"), true),
        (format!("{by_wrong_name} sslmode=verify-full {root}"), false),
        (
            format!(
                "{by_name} sslmode=verify-full sslrootcert={}",
                other.display()
            ),
            false,
        ),
        (format!("{by_name} sslmode=nonsense"), false),
    ] {
        let session = connect(&text);
        assert_eq!(session.is_ok(), works, "{text}: {:?}", session.err());
        let stock = Command::new(binary("psql"))
            .args(["-XAtc", "SELECT 1", &text])
            .env("HOME", "/nonexistent")
            .output();
        assert_eq!(
            stock.unwrap().status.success(),
            works,
            "psql thinks otherwise: {text}"
        );
    }
    // What psql of release 15 does not know yet, or what it would need other certificates for.
    let revoked = directory.path().join("revoked.pem");
    for (text, works) in [
        ("require_auth=scram-sha-256", true),
        ("require_auth=!password,!md5", true),
        ("require_auth=md5", false),
        ("require_auth=none", false),
        ("require_auth=nonsense", false),
        ("ssl_min_protocol_version=TLSv1.3", true),
        ("ssl_max_protocol_version=TLSv1.2", true),
        ("ssl_max_protocol_version=TLSv1.1", false),
        ("ssl_min_protocol_version=TLSv9", false),
        ("sslsni=0", true),
        ("gssencmode=require", false),
        ("gssencmode=prefer", true),
        ("sslcertmode=require", false),
        (
            "keepalives_idle=30 keepalives_interval=5 keepalives_count=3 tcp_user_timeout=9000",
            true,
        ),
        ("keepalives=0", true),
        ("keepalives_idle=often", false),
        ("load_balance_hosts=random", true),
        ("sslcrl=/nonexistent", false),
    ] {
        let session = connect(&format!("{by_name} sslmode=verify-ca {root} {text}"));
        assert_eq!(session.is_ok(), works, "{text}: {:?}", session.err());
    }
    let with_list = format!(
        "{by_name} sslmode=verify-ca {root} sslcrl={}",
        revoked.display()
    );
    let error = connect(&with_list).err().unwrap();
    assert!(error.to_string().contains("Revoked"), "{error}");
    let mut session = connect(&format!("{by_name} ssl_min_protocol_version=TLSv1.3")).unwrap();
    let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(session.value::<String>(sql, &[]).unwrap(), "TLSv1.3");
    let mut session = connect(&by_name).unwrap();
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert!(session.value::<bool>(sql, &[]).unwrap());
    let mut rows = 0;
    let sql = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 5000)) TO STDOUT";
    session
        .copy_out(sql, |_| {
            rows += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(rows, 5000);

    // A password file, found by way of a service.
    let (pass, services) = (
        directory.path().join("pass"),
        directory.path().join("services"),
    );
    fs::write(&pass, format!("localhost:{port}:*:clerk:se\\:cret\n")).unwrap();
    fs::write(&services, format!(
        "[main]\nhost=localhost\nhostaddr=127.0.0.1\nport={port}\nuser=clerk\ndbname=postgres\npassfile={}\n", pass.display()
    )).unwrap();
    let service = || {
        Conninfo::resolve(None, |name| match name {
            "PGSERVICE" => Some("main".to_owned()),
            "PGSERVICEFILE" => Some(services.display().to_string()),
            _ => None,
        })
        .unwrap()
    };
    fs::set_permissions(&pass, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Session::connect(&service()).err().unwrap();
    assert_eq!(error.kind(), Kind::Permission, "{error}");
    assert!(
        error.hint().unwrap().contains("chmod 0600"),
        "{:?}",
        error.hint()
    );
    fs::set_permissions(&pass, fs::Permissions::from_mode(0o600)).unwrap();
    let session = Session::connect(&service()).unwrap();
    // What children get leads them to the same place.
    let child = sg::postgres::programs::Program::find("psql", session.major()).unwrap();
    let output = child
        .command(&session.pinned())
        .args(["-XAtc", "SELECT current_user"])
        .output();
    assert_eq!(output.unwrap().stdout, b"clerk\n");
}
