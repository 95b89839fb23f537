// deploy/nginx.conf with real traffic.
import { throughProxy } from './lib/through.mjs';

throughProxy('nginx');
