//! Many connections of one address.

use super::*;

/// Connections that say nothing, or had an answer and keep the connection.
async fn idle_connections(server: &Server, from: [u8; 4], count: usize) -> Vec<TcpStream> {
    let mut idle = Vec::new();
    for number in 0..count {
        let mut stream = server.connect_from(from).await;
        if number % 2 == 0 {
            send(&mut stream, &request("/")).await;
            answer(&mut stream, "ok").await;
        }
        idle.push(stream);
    }
    idle
}

#[tokio::test]
async fn idle_connections_of_one_address_lock_nobody_out() {
    let server = Server::start(Limits {
        connections_max: 20,
        idle_deadline_ms: 60_000,
        header_deadline_ms: 60_000,
        ..limits()
    })
    .await;
    let flood = idle_connections(&server, [127, 0, 0, 2], 60).await;
    assert!(
        server.counters.evicted.get() >= 39,
        "the flood makes room for itself"
    );
    let mut mine = Vec::new();
    for _ in 0..9 {
        let mut stream = server.connect_from([127, 0, 0, 3]).await;
        send(&mut stream, &request("/")).await;
        answer(&mut stream, "ok").await;
        mine.push(stream);
    }
    // They are still served while the flood goes on.
    drop(flood);
    let _flood = idle_connections(&server, [127, 0, 0, 2], 60).await;
    for stream in &mut mine {
        send(stream, &request("/")).await;
        answer(stream, "ok").await;
    }
}

#[tokio::test]
async fn an_address_has_as_many_connections_as_it_may_and_is_told_so() {
    let server = Server::start(Limits {
        connections_per_address_max: 1,
        ..limits()
    })
    .await;
    let mut first = server.connect_from([127, 0, 0, 2]).await;
    send(&mut first, &request("/held")).await;
    server.held.notified().await;
    let mut second = server.connect_from([127, 0, 0, 2]).await;
    let mut text = String::new();
    let read = tokio::time::timeout(PATIENCE, second.read_to_string(&mut text)).await;
    read.unwrap().unwrap();
    assert!(text.starts_with("HTTP/1.1 429 "), "{text}");
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{text}"
    );
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["code"], "rate_limited");
    assert_eq!(problem["effect"], "none");
    assert_eq!(server.counters.refused.get(), 1);
    let mut other = server.connect_from([127, 0, 0, 3]).await;
    send(&mut other, &request("/")).await;
    answer(&mut other, "ok").await;
    server.release.notify_one();
    answer(&mut first, "held").await;
    // Idle now, it goes for the next one.
    let mut third = server.connect_from([127, 0, 0, 2]).await;
    send(&mut third, &request("/")).await;
    answer(&mut third, "ok").await;
}

#[tokio::test]
async fn behind_a_proxy_a_connection_is_its_clients() {
    let text = "[listen.proxies]\ntrusted = [\"127.0.0.1\"]\nreport = \"proxy-protocol\"\n";
    let proxies = leasehold_core::config::Config::parse(text)
        .unwrap()
        .listen
        .proxies;
    let limits = Limits {
        connections_per_address_max: 1,
        header_deadline_ms: 60_000,
        ..limits()
    };
    let server = Server::start_behind(limits, None, Proxies::new(&proxies)).await;
    let server = server.unwrap();
    let mut held = Vec::new();
    for client in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let mut stream = server.connect().await;
        let header = format!("PROXY TCP4 {client} 127.0.0.1 1 2\r\n");
        send(&mut stream, &(header + &request("/held"))).await;
        server.held.notified().await;
        held.push(stream);
    }
    let closed = async |text: &str| {
        let mut stream = server.connect().await;
        send(&mut stream, text).await;
        let mut byte = [0];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut byte)).await;
        matches!(read.unwrap(), Ok(0) | Err(_))
    };
    let again = "PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n".to_owned() + &request("/");
    assert!(closed(&again).await, "a second one of a client with one");
    assert!(
        closed(&request("/")).await,
        "a proxy's connection without a header"
    );
    let mut direct = server.connect_from([127, 0, 0, 9]).await;
    send(&mut direct, &request("/")).await;
    answer(&mut direct, "ok").await;
}
