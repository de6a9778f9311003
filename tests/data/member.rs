//! A member that sends data: its socket, and a connection with data channels or none.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use althing::wire::{DataDelivery, DataMessage, DataPayload, Event, MemberId, OkResult, Request, VERSION};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::client::{DataConnection, Signaling};
use crate::way::Way;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What came, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heard {
    pub from: MemberId,
    pub topic: String,
    pub payload: Vec<u8>,
    pub way: By,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    Reliable,
    Lossy,
    Socket,
}

pub struct Member {
    pub id: MemberId,
    pub signaling: Signaling,
    events: mpsc::UnboundedReceiver<Event>,
    pub connection: Option<DataConnection>,
    pub way: Option<Way>,
}

impl Member {
    /// Without data channels.
    pub async fn join(node: SocketAddr, room: &str) -> Self {
        let (signaling, events) = Signaling::open(&format!("ws://{node}/ws")).await.expect("a socket");
        signaling.ask(Request::Hello { versions: vec![VERSION], features: vec![] }).await.expect("welcome");
        let Ok(Some(OkResult::Joined { me, .. })) = signaling.ask(Request::join(room, "", None)).await else { panic!("not joined") };
        Self { id: me.member, signaling, events, connection: None, way: None }
    }

    /// With data channels, over a way that loses so many datagrams of a hundred.
    pub async fn connect(node: SocketAddr, room: &str, loss: u64, seed: u64) -> Self {
        let mut member = Self::join(node, room).await;
        let mut connection = DataConnection::new(LOCAL).await.expect("a connection");
        let sdp = connection.offer().await.expect("an offer");
        let answer = member.signaling.ask(Request::Offer { sdp, publish: vec![] }).await.expect("answered");
        let Some(OkResult::Answer { sdp, .. }) = answer else { panic!("not an answer") };
        let port = sdp.lines().find_map(|l| l.strip_prefix("a=candidate:1 1 udp ")?.split(' ').nth(2)?.parse::<u16>().ok()).expect("a candidate");
        let way = Way::new(SocketAddr::from((LOCAL, port)), loss, seed).await;
        let sdp: String = sdp.split_inclusive('\n').filter(|l| !l.contains(" tcp ")).collect();
        connection.take_answer(sdp.replace(&format!(" {port} typ"), &format!(" {} typ", way.address.port()))).await.expect("taken");
        timeout(Duration::from_secs(60), connection.greet()).await.expect("the channels open").expect("greeted");
        (member.connection, member.way) = (Some(connection), Some(way));
        member
    }

    pub async fn send(&self, topic: &str, to: &[&MemberId], payload: &[u8], reliable: bool) {
        let to: Vec<MemberId> = to.iter().map(|to| (*to).clone()).collect();
        match &self.connection {
            Some(connection) => connection.send(&DataMessage { topic, to, text: false, payload }.write(), reliable).await.expect("sent"),
            None => {
                let payload = DataPayload::Text(String::from_utf8(payload.to_vec()).expect("text"));
                let data = Request::Data { topic: topic.into(), to, payload, lossy: !reliable, number: None };
                self.signaling.ask(data).await.expect("taken");
            }
        }
    }

    /// The next message, whichever way it comes; none when there is none for so long.
    pub async fn hear(&mut self, patience: Duration) -> Option<Heard> {
        let end = tokio::time::Instant::now() + patience;
        loop {
            let message = async {
                match &mut self.connection {
                    Some(connection) => connection.messages.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((bytes, reliable)) = message => {
                    let delivery = DataDelivery::read(&bytes).expect("a delivery");
                    let way = if reliable { By::Reliable } else { By::Lossy };
                    return Some(Heard { from: delivery.from, topic: delivery.topic.into(), payload: delivery.payload.into(), way });
                }
                event = self.events.recv() => match event {
                    Some(Event::Data { from, topic, payload: DataPayload::Text(text) }) => {
                        return Some(Heard { from, topic, payload: text.into(), way: By::Socket });
                    }
                    Some(Event::Data { from, topic, payload: DataPayload::Base64(text) }) => {
                        return Some(Heard { from, topic, payload: STANDARD.decode(text).expect("base64"), way: By::Socket });
                    }
                    Some(_) => {}
                    None => return None,
                },
                () = tokio::time::sleep_until(end) => return None,
            }
        }
    }
}
