/**
 * Training gates that route tokens to adapters, and judging routers by perplexity. Works on any
 * host through its public interface.
 */
@NullMarked
package dev.lorikeet.cli.router;

import org.jspecify.annotations.NullMarked;
