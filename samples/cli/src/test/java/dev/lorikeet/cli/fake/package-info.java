/** Plugins that need no model and no memory, so that commands are tested by themselves. */
@NullMarked
package dev.lorikeet.cli.fake;

import org.jspecify.annotations.NullMarked;
