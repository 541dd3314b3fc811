//! Datagrams: they go where the tunnel's datagrams go.

use sam_testkit::{Dialect, Endpoint};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use super::python;
use crate::common::lab::{ALL, Lab, TCP};

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_go_to_a_name_and_return_from_its_address() {
    return_from_their_targets(&Lab::new(Dialect::I2pd245).await);
}

pub(super) fn return_from_their_targets(lab: &Lab) {
    let script = "
import socket
udp = socket.socket(type=socket.SOCK_DGRAM)
echo = (socket.gethostbyname('echo.i2p'), 7)
for size in (1, 500, 10000):
    udp.sendto(b'x' * size, echo)
    data, sender = udp.recvfrom(65535)
    print(len(data), sender[0] == echo[0])
connected = socket.socket(type=socket.SOCK_DGRAM)
connected.connect(echo)
connected.send(b'connected')
print(connected.recv(100).decode())
";
    assert_eq!(python(lab, ALL, &[], script), "1 True\n500 True\n10000 True\nconnected\n");
}

/// Two sockets of the program get their own answers.
#[tokio::test(flavor = "multi_thread")]
async fn each_socket_gets_its_own_answers() {
    belong_to_their_sockets(&Lab::new(Dialect::I2pd245).await);
}

pub(super) fn belong_to_their_sockets(lab: &Lab) {
    lab.bridge.host("other.i2p", Endpoint::Echo);
    let script = "
import socket
sockets = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(3)]
hosts = ['echo.i2p', 'other.i2p', 'echo.i2p']
addresses = [(socket.gethostbyname(host), 7) for host in hosts]
for number, one in enumerate(sockets):
    one.sendto(str(number).encode(), addresses[number])
for number, one in enumerate(sockets):
    data, sender = one.recvfrom(100)
    print(data.decode(), sender[0] == addresses[number][0])
";
    assert_eq!(python(lab, ALL, &[], script), "0 True\n1 True\n2 True\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_datagrams_the_program_is_told_so() {
    are_rejected(&Lab::new(Dialect::I2pd245).await);
}

pub(super) fn are_rejected(lab: &Lab) {
    let script = "
import errno, socket
for family, host in ((socket.AF_INET, 'echo.i2p'), (socket.AF_INET6, 'echo.i2p')):
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.settimeout(20)
    udp.connect(socket.getaddrinfo(host, 7, family)[0][4])
    udp.send(b'x')
    try:
        udp.recv(1)
    except OSError as error:
        print(errno.errorcode[error.errno])
";
    assert_eq!(python(lab, TCP, &[], script), "EHOSTUNREACH\nEACCES\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_to_hosts_outside_are_prohibited() {
    let lab = Lab::new(Dialect::I2pd245).await;
    let script = "
import errno, socket
for family, host in ((socket.AF_INET, '198.51.100.7'), (socket.AF_INET6, '2001:db8::1')):
    udp = socket.socket(family, socket.SOCK_DGRAM)
    udp.settimeout(20)
    udp.connect((host, 7))
    udp.send(b'x')
    try:
        udp.recv(1)
    except OSError as error:
        print(errno.errorcode[error.errno])
";
    assert_eq!(python(&lab, ALL, &[], script), "EHOSTUNREACH\nEACCES\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_to_hosts_of_a_route_go_to_its_outproxy() {
    go_to_the_outproxy(&Lab::new(Dialect::I2pd245).await);
}

pub(super) fn go_to_the_outproxy(lab: &Lab) {
    let script = "
import socket
udp = socket.socket(type=socket.SOCK_DGRAM)
host = (socket.gethostbyname('example.com'), 7)
echo = (socket.gethostbyname('echo.i2p'), 7)
for payload in (b'one', b'x' * 9000):
    udp.sendto(payload, host)
    data, sender = udp.recvfrom(65535)
    print(len(data), sender == host)
udp.sendto(b'in I2P', echo)
data, sender = udp.recvfrom(100)
print(data.decode(), sender == echo)
";
    assert_eq!(python(lab, &with_outproxy(), &[], script), "3 True\n9000 True\nin I2P True\n");
}

/// A tunnel for datagrams, and a route to an outproxy that sends each datagram back.
pub(super) fn with_outproxy() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    tokio::spawn(serve_outproxy(TcpListener::from_std(listener).unwrap()));
    format!(
        "{ALL}[[outproxy]]\nname = 'out'\nprotocol = 'socks5'\nat = '{at}'\nvia = 'tcp'\n[[route]]\nhost = 'example.com'\nvia = 'out'\n"
    )
}

/// Grants UDP ASSOCIATE (RFC 1928 section 7), and sends each datagram back if it is for the host by its name.
async fn serve_outproxy(listener: TcpListener) {
    while let Ok((mut control, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut bytes = [0; 512];
            let _greeting = control.read(&mut bytes).await.unwrap();
            control.write_all(&[5, 0]).await.unwrap();
            let _request = control.read(&mut bytes).await.unwrap();
            let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let [high, low] = relay.local_addr().unwrap().port().to_be_bytes();
            control.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, high, low]).await.unwrap();
            let mut datagram = vec![0; 65_535];
            while let Ok((length, from)) = relay.recv_from(&mut datagram).await {
                assert!(
                    datagram.starts_with(b"\0\0\0\x03\x0bexample.com\0\x07"),
                    "{:?}",
                    &datagram[..length.min(30)]
                );
                relay.send_to(&datagram[..length], from).await.unwrap();
            }
        });
    }
}
