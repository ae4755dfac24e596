/**
 * The {@code lorikeet} command line. {@link dev.lorikeet.cli.Main} puts the commands together; each
 * topic has a package below, over {@code view}, {@code options} and {@code console}.
 */
@NullMarked
package dev.lorikeet.cli;

import org.jspecify.annotations.NullMarked;
