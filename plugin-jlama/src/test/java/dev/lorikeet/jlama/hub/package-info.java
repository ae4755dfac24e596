/** Tests of names and downloads, against a server on this machine that answers as the hub does. */
@NullMarked
package dev.lorikeet.jlama.hub;

import org.jspecify.annotations.NullMarked;
