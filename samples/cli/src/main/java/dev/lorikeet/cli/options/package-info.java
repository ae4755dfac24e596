/** Options that several commands share, each a mixin that reads, checks and applies them. */
@NullMarked
package dev.lorikeet.cli.options;

import org.jspecify.annotations.NullMarked;
