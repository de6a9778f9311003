import { article } from '../lib/article.mjs';

article('server');
