//! Ports of the host that lead to a node.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Mutex, Semaphore};

/// Connections, or conversations over UDP, at one time per port.
const MAX: usize = 1024;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// A UDP conversation ends when nothing came back for this long.
const UDP_IDLE: Duration = Duration::from_secs(60);
/// The longest datagram.
const DATAGRAM_MAX: usize = 65_536;

/// Passes streams on until the listener fails.
pub(crate) async fn tcp(listener: TcpListener, target: SocketAddr) -> io::Result<()> {
    let permits = Arc::new(Semaphore::new(MAX));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else {
            return Ok(());
        };
        let Ok((mut near, _)) = listener.accept().await else {
            // A client that is gone already, or no descriptors left: both pass.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        tokio::spawn(async move {
            let _permit = permit;
            let far = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(target)).await;
            if let Ok(Ok(mut far)) = far {
                let _ = near.set_nodelay(true);
                let _ = far.set_nodelay(true);
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

/// Passes datagrams on, and answers back to who asked.
pub(crate) async fn udp(socket: UdpSocket, target: SocketAddr) -> io::Result<()> {
    let near = Arc::new(socket);
    let conversations: Arc<Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>> = Arc::default();
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let (length, client) = match near.recv_from(&mut buffer).await {
            Ok(received) => received,
            // An ICMP error of an earlier answer.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error),
        };
        let known = conversations.lock().await.get(&client).cloned();
        let far = match known {
            Some(far) => far,
            None if conversations.lock().await.len() >= MAX => continue,
            None => {
                let far = Arc::new(UdpSocket::bind("0.0.0.0:0").await?);
                far.connect(target).await?;
                conversations.lock().await.insert(client, far.clone());
                tokio::spawn(answer(near.clone(), far.clone(), client, conversations.clone()));
                far
            }
        };
        let _ = far.send(&buffer[..length]).await;
    }
}

async fn answer(
    near: Arc<UdpSocket>,
    far: Arc<UdpSocket>,
    client: SocketAddr,
    conversations: Arc<Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>>,
) {
    let mut buffer = vec![0; DATAGRAM_MAX];
    while let Ok(Ok(length)) = tokio::time::timeout(UDP_IDLE, far.recv(&mut buffer)).await {
        if near.send_to(&buffer[..length], client).await.is_err() {
            break;
        }
    }
    conversations.lock().await.remove(&client);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_stream_and_a_datagram_reach_the_target_and_come_back() {
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = proxy.local_addr().unwrap();
        tokio::spawn(tcp(proxy, target.local_addr().unwrap()));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"hi").await.unwrap();
        let (mut served, _) = target.accept().await.unwrap();
        let mut two = [0; 2];
        served.read_exact(&mut two).await.unwrap();
        served.write_all(b"yo").await.unwrap();
        drop(served);
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!((&two, text.as_str()), (b"hi", "yo"));

        let target = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let proxy = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = proxy.local_addr().unwrap();
        tokio::spawn(udp(proxy, target.local_addr().unwrap()));
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(b"ping", address).await.unwrap();
        let mut buffer = [0; 16];
        let (length, from) = target.recv_from(&mut buffer).await.unwrap();
        target.send_to(&buffer[..length], from).await.unwrap();
        let (length, from) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..length], from), (b"ping".as_slice(), address));
    }
}
