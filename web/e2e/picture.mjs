// Takes the picture in the README: `node web/e2e/picture.mjs FILE.png`, a call of four with chat and a shared screen.
import { Person } from './lib/person.mjs';
import { allMeet } from './lib/scene.mjs';
import { startServer } from './lib/server.mjs';

const server = await startServer();
const people = [];
try {
  for (const name of /** @type {const} */ (['Ada', 'Ben', 'Cleo'])) {
    const person = await Person.open(name, { width: 1280, height: 800 });
    people.push(person);
    await person.join(server.url, 'standup');
  }
  const [ada, ben, cleo] = people;
  await allMeet(people);
  await ada.tab.press('c');
  await ben.says('Good morning!');
  await cleo.says('早上好！');
  await ada.says('Shall we begin?');
  await new Promise((resolve) => setTimeout(resolve, 5000));
  await ada.tab.screenshot(process.argv[2] ?? 'call.png');
} finally {
  await Promise.all(people.map((person) => person.close()));
  await server.stop();
}
