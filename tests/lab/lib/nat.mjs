// Two browsers behind NATs of their own, whose kinds can be changed, and a server with a public address:
//
//   browser n │ wan ── lan │ nat n │ wan ──┐
//   192.168.n.2             203.0.113.1n   ├── bridge ── server 203.0.113.1, relay 203.0.113.2
//
// A browser that is `open` has a public address of its own, 198.51.100.n.
import { execFileSync } from 'node:child_process';
import { SERVER, add, cable, demolish, inside, ip, namespaceOf, sweep } from './namespaces.mjs';

/** The relay's address. */
export const RELAY = '203.0.113.2';
/** The kinds of networks, as RFC 3489 called them; `blocked` lets no UDP out. */
export const KINDS = /** @type {const} */ (['open', 'full', 'cone', 'symmetric', 'blocked']);
/** A network of these kinds, or one that lets through TCP to few ports only: `walled` not to media's, `sealed` to those of TLS. @typedef {typeof KINDS[number] | 'walled' | 'sealed'} Kind */

export class NatLab {
  /** @param {string} [id] of a lab that is built already */
  constructor(id = String(process.pid)) {
    this.id = id;
    this.server = namespaceOf(id, 'server');
  }

  build() {
    sweep();
    const wan = this.#of('wan');
    for (const name of [this.server, wan]) add(name);
    ip('-n', wan, 'link', 'add', 'bridge', 'type', 'bridge');
    ip('-n', wan, 'link', 'set', 'bridge', 'up');
    this.#plug(this.server, 'server', [`${SERVER}/24`, `${RELAY}/24`]);
    // Private addresses lead to a router that forwards nothing, as on the internet. Without a route a relay could not even send to them, and
    // coturn 4.6 ends an allocation when a send fails: calls would lose their media as soon as a browser tries the other one's own address.
    ip('-n', wan, 'address', 'add', '203.0.113.254/24', 'dev', 'bridge');
    ip('-n', this.server, 'route', 'add', 'default', 'via', '203.0.113.254');
    for (const side of [1, 2]) {
      const [browser, nat] = [this.#of(`browser${side}`), this.#of(`nat${side}`)];
      add(browser);
      add(nat);
      cable([browser, 'wan'], [nat, 'lan']);
      ip('-n', browser, 'address', 'add', `192.168.${side}.2/24`, 'dev', 'wan');
      ip('-n', nat, 'address', 'add', `192.168.${side}.1/24`, 'dev', 'lan');
      this.#plug(nat, `nat${side}`, [`203.0.113.1${side}/24`]);
      ip('-n', nat, 'route', 'add', 'default', 'via', '203.0.113.254');
      ip('-n', nat, 'route', 'add', `198.51.100.${side}`, 'dev', 'lan');
      inside(nat, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
    }
    for (const side of [1, 2]) {
      for (const other of [this.server, this.#of(`nat${3 - side}`)]) ip('-n', other, 'route', 'add', `198.51.100.${side}`, 'via', `203.0.113.1${side}`);
    }
  }

  /**
   * Makes a browser's network one of this kind.
   * @param {1 | 2} side
   * @param {Kind} kind
   */
  become(side, kind) {
    const [browser, nat] = [this.#of(`browser${side}`), this.#of(`nat${side}`)];
    ip('-n', browser, 'address', 'flush', 'dev', 'wan');
    ip('-n', browser, 'address', 'add', `192.168.${side}.2/24`, 'dev', 'wan');
    if (kind === 'open') {
      ip('-n', browser, 'address', 'flush', 'dev', 'wan');
      ip('-n', browser, 'address', 'add', `198.51.100.${side}/32`, 'dev', 'wan');
      ip('-n', browser, 'route', 'replace', `192.168.${side}.1`, 'dev', 'wan');
    }
    ip('-n', browser, 'route', 'replace', 'default', 'via', `192.168.${side}.1`, 'dev', 'wan');
    execFileSync('ip', ['netns', 'exec', nat, 'nft', '-f', '-'], { input: rules(side, kind) });
    try {
      inside(nat, 'conntrack', '-F');
    } catch {
      // There was nothing to forget.
    }
  }

  /**
   * Gives a NAT another public address, as a provider does at night: connections of before go nowhere, and nobody is told.
   * @param {1 | 2} side
   * @param {1 | 2} which of its two addresses
   */
  renumber(side, which) {
    const nat = this.#of(`nat${side}`);
    ip('-n', nat, 'address', 'flush', 'dev', 'wan');
    ip('-n', nat, 'address', 'add', `203.0.113.${which}${side}/24`, 'dev', 'wan');
    ip('-n', nat, 'route', 'replace', 'default', 'via', '203.0.113.254');
    // The server would answer what is of no connection that it knows, and so tell the browser.
    execFileSync('ip', ['netns', 'exec', nat, 'nft', '-f', '-'], { input: `${rules(side, 'cone')}\nadd rule ip filter forward tcp flags rst drop\n` });
    try {
      inside(nat, 'conntrack', '-F');
    } catch {
      // There was nothing to forget.
    }
  }

  demolish() {
    demolish(this.id);
  }

  /** @param {string} part */
  #of(part) {
    return namespaceOf(this.id, part);
  }

  /** @param {string} name @param {string} port @param {string[]} addresses */
  #plug(name, port, addresses) {
    const wan = this.#of('wan');
    cable([name, 'wan'], [wan, port]);
    ip('-n', wan, 'link', 'set', port, 'master', 'bridge');
    for (const address of addresses) ip('-n', name, 'address', 'add', address, 'dev', 'wan');
  }
}

/**
 * A NAT in nftables. What comes unasked for is dropped before the router itself sees it: it would answer that the port is closed, and take the
 * mapping away from whoever punches the hole.
 * @param {1 | 2} side
 * @param {Kind} kind
 */
function rules(side, kind) {
  const translate = { open: '', full: 'masquerade', cone: 'masquerade', symmetric: 'masquerade fully-random', blocked: 'masquerade', walled: 'masquerade', sealed: 'masquerade' }[kind];
  const unasked = 'iifname wan ct state new drop';
  const forward = { open: '', full: 'iifname wan meta l4proto tcp ct state new drop', cone: unasked, symmetric: unasked, blocked: `meta l4proto udp drop; ${unasked}`, walled: `meta l4proto udp drop; tcp dport 40000-40099 drop; ${unasked}`, sealed: `meta l4proto udp drop; tcp dport { 3478, 40000-40099 } drop; ${unasked}` }[kind];
  return `flush ruleset
table ip nat {
  chain before { type nat hook prerouting priority -100; ${kind === 'full' ? `iifname wan meta l4proto udp dnat to 192.168.${side}.2` : ''}; }
  chain after { type nat hook postrouting priority 100; ${translate && `oifname wan ${translate}`}; }
}
table ip filter {
  chain in { type filter hook input priority 0; iifname wan meta l4proto udp ct state new drop; }
  chain forward { type filter hook forward priority 0; ${forward}; }
}
`;
}
