/**
 * What the command line sees of the world outside, and how it writes to it: streams, terminal,
 * tables, JSON, exit codes.
 */
@NullMarked
package dev.lorikeet.cli.console;

import org.jspecify.annotations.NullMarked;
