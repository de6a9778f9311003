// What goes out and what comes in of pictures, as the browsers count it.
import { sleep } from './wait.mjs';

/** @typedef {import('./person.mjs').Person} Person */
/** @typedef {import('@althing/sdk').OutboundStats} OutboundStats */

/**
 * The line on which Ada's camera arrives.
 * @param {Person} person
 * @param {{ screen?: boolean }} [options]
 * @returns {Promise<import('@althing/sdk').MemberStats>}
 */
export async function seen(person, { screen = false } = {}) {
  const member = await person.idOf('Ada');
  const { members } = await person.stats();
  const line = members.find((/** @type {import('@althing/sdk').MemberStats} */ found) => found.member === member && found.screen === screen && found.kind === 'video');
  return line ?? person.fail('nothing arrives of Ada');
}

/**
 * What somebody's browser has to send of pictures.
 * @param {Person} person
 * @returns {Promise<OutboundStats[]>}
 */
export async function sent(person) {
  const { outbound } = await person.stats();
  return outbound.filter((/** @type {OutboundStats} */ line) => line.kind === 'video');
}

/**
 * The codecs in which somebody's browser encodes pictures at the moment.
 * @param {Person} person
 */
export async function codecs(person) {
  return [...new Set((await growing(person)).map((line) => line.codec))].sort();
}

/**
 * The encodings of which somebody's browser encodes pictures at the moment.
 * @param {Person} person
 */
export async function growing(person) {
  const before = new Map((await sent(person)).map((line) => [`${line.mid}/${line.rid}`, line.framesEncoded]));
  await sleep(700);
  return (await sent(person)).filter((line) => line.framesEncoded > (before.get(`${line.mid}/${line.rid}`) ?? 0));
}
